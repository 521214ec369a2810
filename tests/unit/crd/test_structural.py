"""What structural schemas do to values, by tables: pruning, nulls, defaults, validation, ratcheting, invariants."""

from __future__ import annotations

import copy

import pytest

from apiserver.crd.defaulting import default_causes
from apiserver.crd.rule_checks import leads_somewhere, rule_causes
from apiserver.crd.rules import RuleTree, root_causes
from apiserver.crd.structural.formats import FORMATS
from apiserver.crd.structural.invariants import list_causes
from apiserver.crd.structural.patterns import compile_pattern
from apiserver.crd.structural.shape import Structure
from apiserver.crd.structural.validate import Validator

SCHEMA = {
    "type": "object", "required": ["a"],
    "properties": {
        "a": {"type": "integer", "minimum": 1, "maximum": 9}, "d": {"type": "string", "default": "x"},
        "n": {"type": "string", "nullable": True}, "k": {"type": "string"},
        "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": True,
                 "properties": {"shut": {"type": "object", "properties": {"p": {"type": "string"}}}}},
        "port": {"x-kubernetes-int-or-string": True},
        "list": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "maxItems": 3,
                 "items": {"type": "object", "properties": {"name": {"type": "string"}, "v": {"type": "integer", "maximum": 5}}}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string", "maxLength": 3}},
        "one": {"type": "object", "properties": {"x": {"type": "string"}, "y": {"type": "string"}},
                "oneOf": [{"required": ["x"]}, {"required": ["y"]}]},
    },
}  # fmt: skip


def test_unknown_fields_go_at_any_depth_but_not_where_they_are_kept() -> None:
    value = {"a": 1, "zz": 1, "open": {"free": 1, "shut": {"p": "q", "r": 1}}, "list": [{"name": "n", "w": 1}]}
    assert Structure(SCHEMA).prune(value) == ["list[0].w", "open.shut.r", "zz"]
    assert value == {"a": 1, "open": {"free": 1, "shut": {"p": "q"}}, "list": [{"name": "n"}]}


def test_nulls_go_unless_allowed_and_defaults_come() -> None:
    value = {"a": 1, "n": None, "k": None, "d": None}
    Structure(SCHEMA).fill(value)
    assert value == {"a": 1, "n": None, "d": "x"}


def test_filling_twice_changes_nothing() -> None:
    value = {"a": 1}
    structure = Structure(SCHEMA)
    structure.fill(value)
    once = copy.deepcopy(value)
    structure.fill(value)
    assert value == once


@pytest.mark.parametrize(("change", "field", "message"), [
    ({"a": 0}, "a", "Invalid value: 0: a in body should be greater than or equal to 1"),
    ({"a": "1"}, "a", 'Invalid value: "string": a in body must be of type integer: "string"'),
    ({"a": 1.5}, "a", 'Invalid value: "number": a in body must be of type integer: "number"'),
    ({"port": True}, "port", 'Invalid value: "boolean": port in body must be of type integer,string: "boolean"'),
    ({"set": ["long!"]}, "set[0]", "Too long: may not be more than 3 bytes"),
    ({"list": [{}] * 4}, "list", "Too many: 4: must have at most 3 items"),
    ({"one": {"x": "", "y": ""}}, "<nil>",
     'Invalid value: "": "one" must validate one and only one schema (oneOf). Found 2 valid alternatives'),
])  # fmt: skip
def test_complaints(change: dict, field: str, message: str) -> None:
    causes = Validator(SCHEMA).validate({"a": 1, **change})
    assert (causes[0]["field"], causes[0]["message"]) == (field, message)


def test_what_is_missing_is_required() -> None:
    assert Validator(SCHEMA).validate({}) == [
        {"reason": "FieldValueRequired", "field": "a", "message": "Required value"}
    ]


def test_a_whole_number_with_a_fraction_part_is_an_integer() -> None:
    assert Validator(SCHEMA).validate({"a": 2.0}) == []


def test_what_did_not_change_is_not_judged_again() -> None:
    old = {"a": 99, "list": [{"name": "n", "v": 7}, {"name": "m", "v": 1}]}
    validator = Validator(SCHEMA)
    moved = {"a": 99, "k": "new", "list": [{"name": "m", "v": 1}, {"name": "n", "v": 7}]}
    assert validator.validate(moved, "", old) == []
    assert [cause["field"] for cause in validator.validate({**moved, "a": 100}, "", old)] == ["a"]
    assert [cause["field"] for cause in validator.validate({**old, "list": [{"name": "n", "v": 8}]}, "", old)] == [
        "list[0].v"
    ]


def test_doubles_in_sets_and_keyed_lists() -> None:
    value = {"set": ["a", "b", "a"], "list": [{"name": "n", "v": 1}, {"name": "n", "v": 2}, []]}
    assert [(cause["field"], cause["message"]) for cause in list_causes(SCHEMA, value)] == [
        ("list[1]", 'Duplicate value: {"name":"n"}'),
        ("list[2]", "Invalid value: []: must be an object for an array of list-type map"),
        ("set[2]", 'Duplicate value: "a"'),
    ]


@pytest.mark.parametrize(("name", "good", "bad"), [
    ("date", "2026-02-28", "2026-02-30"), ("datetime", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00"),
    ("duration", "1h5m", "5"), ("ipv4", "10.0.0.1", "::1"), ("cidr", "10.0.0.0/8", "10.0.0.0"), ("uri", "a:b", "a//b"),
    ("byte", "aGk=", "***"), ("mac", "00:11:22:33:44:55", "00:11"), ("email", "a@b.co", "ab.co"),
    ("uuid4", "123e4567-e89b-42d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000"),
])  # fmt: skip
def test_formats(name: str, good: str, bad: str) -> None:
    assert FORMATS[name](good) and not FORMATS[name](bad)


def test_a_dollar_is_the_very_end() -> None:
    assert compile_pattern("^a$")("a") and not compile_pattern("^a$")("a\n")
    assert compile_pattern("^[[:alpha:]]+$")("ab") and not compile_pattern(r"^\d$")("٣")


@pytest.mark.timeout(5)
def test_no_pattern_can_stop_the_server() -> None:
    assert not compile_pattern("^(a+)+$")("a" * 50_000 + "b")
    assert not compile_pattern(r"^(\w+\s?)*$")("word " * 5_000 + "!")


@pytest.mark.parametrize(("schema", "field"), [
    ({"type": "integer", "maximum": 1, "default": 2}, "s.default"),
    ({"type": "object", "properties": {"a": {"type": "string"}}, "default": {"b": 1}}, "s.default"),
    ({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}, "default": {}}, "s.default.a"),
    ({"type": "string", "default": "x", "x-kubernetes-validations": [{"rule": "self == 'y'"}]}, "s.default"),
])  # fmt: skip
def test_defaults_are_held_against_their_schema(schema: dict, field: str) -> None:
    root = {"type": "object", "properties": {"p": schema}}
    assert [cause["field"] for cause in default_causes("s", root)] == [field.replace("s.", "s.properties[p].")]


# -- rules ---------------------------------------------------------------------------------------------------------------

RULES = {
    "type": "object",
    "properties": {
        "fixed": {"type": "string", "maxLength": 9, "x-kubernetes-validations": [{"rule": "self == oldSelf"}]},
        "low": {"type": "integer", "x-kubernetes-validations": [
            {"rule": "self < 5", "messageExpression": "'%d is not low'.format([self])", "reason": "FieldValueForbidden"}]},
        "first": {"type": "string", "maxLength": 9, "x-kubernetes-validations": [
            {"rule": "oldSelf.hasValue() || self == 'a'", "optionalOldSelf": True, "message": "begin with a"}]},
    },
    "x-kubernetes-validations": [{"rule": "self.metadata.name != 'bad'", "fieldPath": ".low"}],
}  # fmt: skip


def judged(value: dict, old: dict | None = None) -> tuple[list[tuple[str, str]], list[str]]:
    tree = RuleTree.build(RULES, root=True)
    assert tree is not None
    warnings: list[str] = []
    named = {"metadata": {"name": "good"}, **value}
    before = {"metadata": {"name": "good"}, **old} if old is not None else None
    return [(c["field"], c["message"]) for c in root_causes(tree, named, before, warnings.append)], warnings


def test_rules_tell_what_they_were_told_to() -> None:
    assert judged({"low": 7}) == ([("low", "Forbidden: 7 is not low")], [])
    assert judged({"metadata": {"name": "bad"}}) == (
        [("low", "Invalid value: failed rule: self.metadata.name != 'bad'")], []
    )


def test_transition_rules_run_on_changes_only() -> None:
    assert judged({"fixed": "x"}) == ([], [])
    assert judged({"fixed": "y"}, {"fixed": "x"})[0] == [("fixed", 'Invalid value: "y": failed rule: self == oldSelf')]
    assert judged({"first": "b"})[0] == [("first", 'Invalid value: "b": begin with a')]
    assert judged({"first": "b"}, {"first": "a"}) == ([], [])


def test_an_unchanged_value_is_only_warned_about() -> None:
    assert judged({"low": 7, "fixed": "x"}, {"low": 7}) == ([], ["low: Forbidden: 7 is not low"])


def test_rules_cost_what_their_schema_allows() -> None:
    endless = {"type": "object", "properties": {"l": {"type": "array", "items": {"type": "string"}, "x-kubernetes-validations": [
        {"rule": "self.all(x, self.all(y, x == y))"}]}}}  # fmt: skip
    assert [cause["field"] for cause in rule_causes("s", endless)] == [
        "s.properties[l].x-kubernetes-validations[0].rule"
    ] * 2 + ["s"]
    assert rule_causes("s", RULES) == []


@pytest.mark.parametrize(("path", "leads"), [
    (".low", True), ("low", False), ("..low", False), (".none", False), (".low.x", False), (".low[0]", False),
])  # fmt: skip
def test_field_paths(path: str, leads: bool) -> None:
    assert leads_somewhere(path, RULES) is leads


def test_what_is_nested_too_deep_is_refused_by_whoever_reads_it() -> None:
    from apiserver.crd.forms import VersionForm
    from machinery.api.decode import DecodeError

    version = {"name": "v1", "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}
    form = VersionForm({"metadata": {}, "spec": {"names": {"kind": "K"}}}, version, frozenset(), "")
    value: dict = {}
    for _ in range(2000):
        value = {"a": value}
    with pytest.raises(DecodeError, match="exceeded max depth"):
        form.decode({"metadata": {}, "deep": value})


@pytest.mark.parametrize("body", [b"[" * 900 + b"]" * 900, b'{"a":' * 300 + b"1" + b"}" * 300, b"[" * 9000 + b"]" * 9000])
def test_bodies_that_are_nested_too_deep_are_mistakes_in_either_notation(body: bytes) -> None:
    from machinery.api.bodies import BodyError, parse_json, parse_yaml

    for read in (parse_json, parse_yaml):
        with pytest.raises(BodyError, match="depth"):
            read(body)
