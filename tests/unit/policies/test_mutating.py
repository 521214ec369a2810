"""Mutating policies without a server: parts merged, patches applied, names of parts checked, failures."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.admission.policies.checks import policy_causes
from apiserver.admission.policies.mutating import MutatingPolicies
from machinery.api.table import new_table
from machinery.meta.errors import ApiError

from .test_judging import RULE, Judge, Reader, request


def plugin(*mutations: tuple[str, str], **spec: Any) -> MutatingPolicies:
    reader = Reader()
    made = MutatingPolicies(reader, new_table(), Judge())  # type: ignore[arg-type]
    bodies = [
        {"patchType": kind, ("jsonPatch" if kind == "JSONPatch" else "applyConfiguration"): {"expression": text}}
        for kind, text in mutations
    ]
    policies, bindings = MutatingPolicies.resources
    reader.put(policies, "p", {"matchConstraints": {"resourceRules": [RULE]}, "mutations": bodies, **spec})
    reader.put(bindings, "b", {"policyName": "p"})
    return made


async def mutated(made: MutatingPolicies, data: dict[str, str]) -> dict[str, Any]:
    asked = request(data)
    await made.admit(asked)
    assert asked.obj is not None
    return asked.obj


async def test_parts_are_merged_into_the_object() -> None:
    made = plugin(("ApplyConfiguration", "Object{metadata: Object.metadata{labels: {'x': object.data.v}}, data: {'n': 'm'}}"))
    obj = await mutated(made, {"v": "1"})
    assert obj["metadata"]["labels"] == {"a": "b", "x": "1"}
    assert obj["data"] == {"v": "1", "n": "m"}


async def test_each_mutation_sees_the_one_before_it() -> None:
    made = plugin(("ApplyConfiguration", "Object{data: {'one': 'x'}}"),
                  ("JSONPatch", "[JSONPatch{op: 'add', path: '/data/two', value: object.data.one + '!'}]"))  # fmt: skip
    assert (await mutated(made, {}))["data"] == {"one": "x", "two": "x!"}


async def test_a_test_that_fails_leaves_the_object_alone() -> None:
    patch = "[JSONPatch{op: 'test', path: '/data/v', value: 'x'}, JSONPatch{op: 'remove', path: '/data/v'}]"
    made = plugin(("JSONPatch", patch))
    assert (await mutated(made, {"v": "y"}))["data"] == {"v": "y"}
    assert not (await mutated(made, {"v": "x"})).get("data")


async def test_conditions_decide_whether_anything_is_done() -> None:
    made = plugin(("ApplyConfiguration", "Object{data: {'n': 'm'}}"),
                  matchConditions=[{"name": "c", "expression": "object.data.v == 'x'"}])  # fmt: skip
    assert (await mutated(made, {"v": "y"}))["data"] == {"v": "y"}
    assert (await mutated(made, {"v": "x"}))["data"] == {"v": "x", "n": "m"}


@pytest.mark.parametrize(("expression", "complaint"), [
    ("Object{data: {'a': object.data.none}}", "no such key: none"),
    ("Object{metadata: Object.spec{name: 'x'}}", 'unexpected type name "Object.spec", expected "Object.metadata"'),
])  # fmt: skip
async def test_failures_refuse_unless_they_are_ignored(expression: str, complaint: str) -> None:
    with pytest.raises(ApiError) as caught:
        await mutated(plugin(("ApplyConfiguration", expression)), {})
    assert caught.value.code == 403
    assert caught.value.message.startswith("policy 'p' with binding 'b' denied request: ") and complaint in caught.value.message
    await mutated(plugin(("ApplyConfiguration", expression), failurePolicy="Ignore"), {})


@pytest.mark.parametrize(("kind", "field", "expression", "complaint"), [
    ("JSONPatch", "jsonPatch", "['x']", "must evaluate to list(JSONPatch) but got list(string)"),
    ("JSONPatch", "jsonPatch", "[JSONPatch{op: 1}]", "expected type of field 'op' is 'string'"),
    ("ApplyConfiguration", "applyConfiguration", "{'a': 1}", "must evaluate to Object but got map(string, int)"),
    ("ApplyConfiguration", "applyConfiguration", "Other{}", "undeclared reference to 'Other'"),
    ("ApplyConfiguration", "applyConfiguration", "Object{", "expecting {'}', ',', '?', IDENTIFIER, ESC_IDENTIFIER}"),
])  # fmt: skip
def test_mistakes(kind: str, field: str, expression: str, complaint: str) -> None:
    (cause,) = policy_causes({"spec": {"mutations": [{"patchType": kind, field: {"expression": expression}}]}})
    assert cause["field"] == f"spec.mutations[0].{field}.expression" and complaint in cause["message"]
