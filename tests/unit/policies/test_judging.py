"""Policies judged without a server: conditions, variables, messages, parameters' absence, what a failure becomes."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.admission.interface import AdmissionRequest
from apiserver.admission.policies.checks import policy_causes
from apiserver.admission.policies.plugin import BINDINGS, POLICIES, ValidatingPolicies
from apiserver.auth.interface import Attributes, Decision, User
from machinery.api.table import new_table
from machinery.meta.errors import ApiError


class Reader:
    """Objects by resource; whoever listens hears of them at once."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str, str], dict[str, Any]] = {
            ("", "namespaces", "", "n"): {"metadata": {"name": "n", "labels": {"team": "x"}}},
        }
        self.listeners: dict[str, Any] = {}

    def get(self, group: str, resource: str, namespace: str, name: str) -> Any:
        return self.objects.get((group, resource, namespace, name))

    def list(self, group: str, resource: str, namespace: str = "") -> list[Any]:
        return [one for key, one in self.objects.items() if key[:2] == (group, resource) and namespace in ("", key[2])]

    def on_change(self, group: str, resource: str, callback: Any) -> None:
        self.listeners[resource] = callback

    def put(self, resource: str, name: str, spec: dict[str, Any]) -> None:
        self.listeners[resource]("ADDED", {"metadata": {"name": name}, "spec": spec})


class Judge:
    """Alice may delete and nothing else."""

    def authorize(self, attributes: Attributes) -> Decision:
        return Decision(attributes.verb == "delete" and attributes.user.name == "alice")


RULE = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}


def plugin(*validations: dict[str, Any], actions: tuple[str, ...] = ("Deny",), binding: Any = None, **spec: Any):
    reader = Reader()
    made = ValidatingPolicies(reader, new_table(), Judge())  # type: ignore[arg-type]
    reader.put(POLICIES, "p", {"matchConstraints": {"resourceRules": [RULE]}, "validations": list(validations), **spec})
    reader.put(BINDINGS, "b", {"policyName": "p", "validationActions": list(actions), **(binding or {})})
    return made, reader


def request(data: dict[str, str], *, user: str = "alice", **change: Any) -> AdmissionRequest:
    obj = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "c", "namespace": "n", "labels": {"a": "b"}},
           "data": data}  # fmt: skip
    given: dict[str, Any] = {
        "operation": "CREATE", "group": "", "version": "v1", "resource": "configmaps", "kind": "ConfigMap",
        "subresource": "", "namespace": "n", "name": "c", "user": User(user), "obj": obj, **change,
    }  # fmt: skip
    return AdmissionRequest(**given)


async def refusal(made: ValidatingPolicies, asked: AdmissionRequest) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await made.validate(asked)
    return caught.value


async def test_a_refusal_names_policy_binding_and_reason() -> None:
    made, _ = plugin({"expression": "object.data.v != 'bad'", "messageExpression": "'no ' + object.data.v",
                      "reason": "Forbidden"})  # fmt: skip
    await made.validate(request({"v": "good"}))
    error = await refusal(made, request({"v": "bad"}))
    assert (error.code, error.reason) == (403, "Forbidden")
    text = "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no bad"
    assert error.message == f'configmaps "c" is forbidden: {text}'
    assert error.details == {"name": "c", "kind": "configmaps", "causes": [{"message": text}]}


async def test_warnings_and_notes_do_not_refuse() -> None:
    made, _ = plugin({"expression": "false", "message": "never"}, actions=("Warn", "Audit"))
    asked = request({})
    await made.validate(asked)
    assert asked.warnings == ["Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': never"]
    assert '"never"' in asked.audit_annotations["validation.policy.admission.k8s.io/validation_failure"]


async def test_the_failure_policy_is_about_errors_not_refusals() -> None:
    broken = {"expression": "object.data.none == 'x'"}
    made, _ = plugin(broken)
    assert "no such key: none" in (await refusal(made, request({}))).message
    made, _ = plugin(broken, failurePolicy="Ignore")
    await made.validate(request({}))
    made, _ = plugin({"expression": "false"}, failurePolicy="Ignore")
    assert (await refusal(made, request({}))).code == 422


async def test_conditions_come_first_and_one_that_is_false_ends_it() -> None:
    conditions = [{"name": "a", "expression": "object.data.none == 'x'"}, {"name": "b", "expression": "false"}]
    made, _ = plugin({"expression": "false"}, matchConditions=conditions)
    await made.validate(request({}))
    made, _ = plugin({"expression": "false"}, matchConditions=conditions[:1])
    assert "no such key" in (await refusal(made, request({}))).message


async def test_variables_are_computed_only_when_they_are_asked_for() -> None:
    variables = [{"name": "n", "expression": "int(object.data.n)"}, {"name": "never", "expression": "object.x.y.z"}]
    made, _ = plugin({"expression": "variables.n < 4"}, variables=variables)
    await made.validate(request({"n": "3"}))
    error = await refusal(made, request({"n": "x"}))
    assert 'composited variable "n" fails to evaluate: type conversion error' in error.message


async def test_parameters() -> None:
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    reference = {"paramRef": {"name": "limits", "parameterNotFoundAction": "Deny"}}
    made, reader = plugin({"expression": "object.data.n == params.data.n"}, paramKind=kind, binding=reference)
    assert "no params found for policy binding" in (await refusal(made, request({"n": "1"}))).message
    reader.objects["", "configmaps", "n", "limits"] = {"metadata": {"name": "limits"}, "data": {"n": "1"}}
    await made.validate(request({"n": "1"}))
    assert (await refusal(made, request({"n": "2"}))).code == 422


async def test_the_authorizer_speaks_of_the_user_of_the_request() -> None:
    made, _ = plugin({"expression": "authorizer.requestResource.check('delete').allowed()"})
    await made.validate(request({}))
    assert (await refusal(made, request({}, user="bob"))).code == 422


@pytest.mark.parametrize(("constraints", "change", "wanted"), [
    ({}, {}, True), ({}, {"operation": "DELETE"}, False), ({}, {"resource": "secrets", "kind": "Secret"}, False),
    ({"objectSelector": {"matchLabels": {"a": "c"}}}, {}, False),
    ({"objectSelector": {"matchLabels": {"a": "c"}}}, {"old": {"metadata": {"labels": {"a": "c"}}}}, True),
    ({"namespaceSelector": {"matchLabels": {"team": "y"}}}, {}, False),
    ({"excludeResourceRules": [{**RULE, "resourceNames": ["c"]}]}, {}, False),
    ({"excludeResourceRules": [{**RULE, "resourceNames": ["d"]}]}, {}, True),
])  # fmt: skip
async def test_what_a_policy_wants(constraints: dict[str, Any], change: dict[str, Any], wanted: bool) -> None:
    made, _ = plugin({"expression": "false"}, matchConstraints={"resourceRules": [RULE], **constraints})
    if wanted:
        await refusal(made, request({}, **change))
    else:
        await made.validate(request({}, **change))


async def test_nothing_judges_policies_themselves_or_without_a_binding() -> None:
    made, reader = plugin({"expression": "false"})
    assert not made.handles(request({}, group="admissionregistration.k8s.io", resource=POLICIES))
    reader.listeners[BINDINGS]("DELETED", {"metadata": {"name": "b"}})
    assert not made.handles(request({}))


@pytest.mark.parametrize(("spec", "field", "complaint"), [
    ({"validations": [{"expression": "self"}]}, "spec.validations[0].expression", "undeclared reference to 'self'"),
    ({"validations": [{"expression": "1"}]}, "spec.validations[0].expression", "must evaluate to bool but got int"),
    ({"validations": [{"expression": "params.x == 1"}]}, "spec.validations[0].expression", "reference to 'params'"),
    ({"validations": [{"expression": "request.verb == ''"}]}, "spec.validations[0].expression", "undefined field 'verb'"),
    ({"variables": [{"name": "a", "expression": "variables.b"}]}, "spec.variables[0].expression", "undefined field 'b'"),
    ({"auditAnnotations": [{"key": "k", "valueExpression": "1"}]}, "spec.auditAnnotations[0].valueExpression",
     "must evaluate to one of [string null_type] but got int"),
])  # fmt: skip
def test_mistakes_are_told_when_a_policy_is_written(spec: dict[str, Any], field: str, complaint: str) -> None:
    (cause,) = policy_causes({"spec": spec})
    assert cause["field"] == field and complaint in cause["message"]
