"""Decoding: recorded refusals word for word, unknown and doubled fields, nulls, canonical forms."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from machinery.api.bodies import BodyError, parse_json, parse_json_exactly, parse_yaml
from machinery.api.decode import DecodeError, check_fields, decode, prune_unknown, strict_error
from machinery.api.instants import InstantError, canonical_micro_time, canonical_time
from machinery.api.schema import SchemaNode, compile_schema, schema_for
from machinery.api.table import KINDS
from tests.unit.api.api_transcripts import FOLDER, steps

_REFUSED = re.compile(r'\w+ in version "v\d" cannot be handled as a \w+: (.*)', re.DOTALL)
#: Refused before a field is looked at: by the kind that the body names.
_OTHER_LAYERS = re.compile(r"no kind|converting")


def _schema(word: str) -> SchemaNode:
    kind = KINDS.resolve(word)
    assert kind is not None
    return schema_for(kind)


def _outcome(text: str, schema: SchemaNode, strict: bool) -> str:
    obj, doubled = parse_json(text.encode())
    try:
        unknown = decode(obj, schema)
    except DecodeError:
        with pytest.raises(DecodeError) as caught:
            decode(parse_json_exactly(text.encode()), schema)
        return str(caught.value)
    return strict_error(unknown, doubled) if strict and (unknown or doubled) else ""


FILES = sorted(
    path.name for path in FOLDER.glob("*.jsonl")
    if path.name.startswith(("validation", "defaults", "csr", "writes", "http", "wire-create"))
)  # fmt: skip


@pytest.mark.parametrize("file", FILES)
def test_recorded_refusals(file: str) -> None:
    """Every recorded create that decoding refused is refused by us in the same words, and no other is."""
    compared = 0
    for step in steps(file):
        if step.method != "POST" or step.kind is None or step.subresource or step.body is None:
            continue
        text = step.body if isinstance(step.body, str) else json.dumps(step.body)
        message = step.answer.get("message") or "" if isinstance(step.answer, dict) and step.status >= 400 else ""
        match = _REFUSED.fullmatch(message)
        wanted = match[1] if match else ""
        if _OTHER_LAYERS.match(wanted) or "unrecognized" in message:
            continue
        try:
            if not isinstance(json.loads(text), dict):
                continue
        except ValueError:
            continue
        assert _outcome(text, schema_for(step.kind), "fieldValidation=Strict" in step.query) == wanted, step
        compared += 1
    assert compared > 0


def test_unknown_fields_are_removed_and_named_in_order() -> None:
    pod: dict[str, Any] = {
        "metadata": {"name": "a", "zap": 1},
        "spec": {"containers": [{"name": "c", "imagee": "x"}], "zip": 1, "nodeSelector": {"any": "thing"}},
    }
    unknown = ["metadata.zap", "spec.containers[0].imagee", "spec.zip"]
    assert check_fields(pod, _schema("pod")) == ["metadata.zap", "spec.zip", "spec.containers[0].imagee"]
    assert decode(pod, _schema("pod")) == unknown
    assert pod == {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c"}], "nodeSelector": {"any": "thing"}}}
    assert prune_unknown(pod, _schema("pod")) == []


def test_null_is_absent_and_null_items_are_zero() -> None:
    obj: dict[str, Any] = {
        "metadata": {"creationTimestamp": None, "labels": {"a": None}},
        "spec": {"containers": [None, {"name": "c", "command": ["x", None], "ports": None}]},
    }
    assert decode(obj, _schema("pod")) == []
    assert obj == {
        "metadata": {"labels": {"a": ""}},
        "spec": {"containers": [{}, {"name": "c", "command": ["x", ""]}]},
    }


def test_quantities_and_instants_become_canonical() -> None:
    obj: dict[str, Any] = {
        "metadata": {"creationTimestamp": "2024-02-29T23:30:00+02:00"},
        "spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": 0.5, "memory": "2048Ki"}}}]},
    }
    decode(obj, _schema("pod"))
    assert obj["metadata"]["creationTimestamp"] == "2024-02-29T21:30:00Z"
    assert obj["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "500m", "memory": "2Mi"}


def test_a_bad_quantity_wins_over_an_earlier_wrong_type() -> None:
    obj = {"spec": {"nodeName": 1, "containers": [{"resources": {"limits": {"cpu": "x"}}}]}}
    with pytest.raises(DecodeError, match="quantities must match"):
        decode(obj, _schema("pod"))


@pytest.mark.parametrize(
    ("text", "doubled"),
    [
        ('{"data":{"a":"1","a":"2"}}', ['duplicate field "data.a"']),
        ('{"data" : {"a":"1"} , "data":{}}', ['duplicate field "data"']),
        ('{"data":{"a":"say \\":","b":"2"}}', []),
        ('{"data":{"a\\u0022:":"1"}}', []),
        ('{"l":[{"a":1},{"b":1,"b":1}]}', ['duplicate field "l[1].b"']),
    ],
)
def test_doubled_json_fields(text: str, doubled: list[str]) -> None:
    value, problems = parse_json(text.encode())
    assert problems == doubled
    assert value == json.loads(text)


def test_yaml_becomes_json() -> None:
    text = "a: 2001-01-01\nb: on\nc: 0o17\nd: 1:30\n1: x\ne: &x {k: [1]}\nf: *x\ng: 012\nh: 1e3\ni: ~\n"
    value, problems = parse_yaml(text)
    assert problems == []
    assert value == {
        "a": "2001-01-01", "b": True, "c": 15, "d": "1:30", "1": "x", "e": {"k": [1]}, "f": {"k": [1]}, "g": 10,
        "h": 1000.0, "i": None,
    }  # fmt: skip
    assert value["e"] is not value["f"]


def test_yaml_names_doubled_keys_and_bad_lines() -> None:
    assert parse_yaml("a: 1\na: 2\n") == ({"a": 2}, ['yaml: unmarshal errors:\n  line 2: key "a" already set in map'])
    with pytest.raises(BodyError, match="yaml: line 2: found character that cannot start any token"):
        parse_yaml("a: 1\nb: @x\n")


def test_yaml_bombs_are_refused() -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(8)
    )
    with pytest.raises(BodyError, match="excessive aliasing"):
        parse_yaml(bomb)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("yesterday", 'cannot parse "yesterday" as "2006"'),
        ("2024-13-01T00:00:00Z", "month out of range"),
        ("2023-02-30T00:00:00Z", "day out of range"),
        ("2024-01-01", 'cannot parse "" as "T"'),
    ],
)
def test_bad_instants(text: str, complaint: str) -> None:
    with pytest.raises(InstantError, match=complaint):
        canonical_time(text)


def test_micro_time_needs_microseconds() -> None:
    assert canonical_micro_time("2024-01-31T01:02:03.000004Z") == "2024-01-31T01:02:03.000004Z"
    with pytest.raises(InstantError, match=re.escape('cannot parse "Z" as ".000000"')):
        canonical_micro_time("2024-01-01T01:02:03Z")


def test_custom_schemas_decode_alike() -> None:
    schema = compile_schema({
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": {"n": {"type": "integer"}, "free": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": True}}},
        },
    })  # fmt: skip
    obj = {"kind": "W", "metadata": {"name": "w", "bad": 1}, "spec": {"free": {"x": 1}, "m": 2}}
    assert prune_unknown(obj, schema) == ["metadata.bad", "spec.m"]


def test_structural_schemas_close_bare_objects_and_open_embedded_ones() -> None:
    schema = compile_schema({
        "type": "object",
        "properties": {
            "bare": {"type": "object"}, "map": {"type": "object", "additionalProperties": {"type": "string"}},
            "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": True,
                     "properties": {"known": {"type": "object", "properties": {"a": {"type": "string"}}}}},
            "pod": {"type": "object", "x-kubernetes-embedded-resource": True},
            "list": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "string"}}}},
        },
    })  # fmt: skip
    obj = {
        "bare": {"x": 1}, "map": {"any": "thing"}, "open": {"x": 1, "known": {"a": "", "b": 1}},
        "pod": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "bad": 1}, "spec": {}},
        "list": [{"n": "", "m": 1}],
    }  # fmt: skip
    unknown = ["bare.x", "open.known.b", "pod.spec", "pod.metadata.bad", "list[0].m"]
    assert sorted(prune_unknown(obj, schema)) == sorted(unknown)
    assert obj["open"] == {"x": 1, "known": {"a": ""}}
