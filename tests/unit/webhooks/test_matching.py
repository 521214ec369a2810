"""Which webhook is called for which write: rules, scope, selectors, equivalents."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.admission.interface import AdmissionRequest
from apiserver.admission.webhooks.conditions import ConditionError, condition_mistake, conditions_hold
from apiserver.admission.webhooks.configuration import Rule, compile_configuration
from apiserver.admission.webhooks.matching import is_exempt, match
from apiserver.auth.interface import User
from machinery.api.table import new_table
from machinery.meta.errors import ApiError

KINDS = new_table()
NAMESPACES = {"blue": {"team": "blue"}, "plain": {}}


def hook(**more: Any) -> Any:
    rule = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}
    spec = {"name": "a.b.c", "clientConfig": {}, "rules": [rule], **more}
    (compiled,) = compile_configuration({"metadata": {"name": "x"}, "webhooks": [spec]})
    return compiled


def write(resource: str = "configmaps", group: str = "", version: str = "v1", **more: Any) -> AdmissionRequest:
    kind = KINDS.by_resource(group, version, resource)
    assert kind is not None
    base: dict[str, Any] = {
        "operation": "CREATE", "group": group, "version": version, "resource": resource, "kind": kind.kind,
        "subresource": "", "namespace": "blue" if kind.namespaced else "", "name": "n", "user": User("u"),
        "obj": {"metadata": {}},
    }  # fmt: skip
    return AdmissionRequest(**{**base, **more})


def called(compiled: Any, request: AdmissionRequest) -> bool:
    return match(compiled, request, KINDS, NAMESPACES.get) is not None


@pytest.mark.parametrize(("resources", "subresource", "expected"), [
    (["*"], "", True), (["*"], "status", False), (["*/*"], "", True), (["*/*"], "status", True),
    (["pods/*"], "status", True), (["pods/*"], "", False), (["*/status"], "status", True), (["pods"], "status", False),
    (["pods/status"], "status", True),
])  # fmt: skip
def test_resources_of_a_rule(resources: list[str], subresource: str, expected: bool) -> None:
    everything = frozenset("*")
    rule = Rule(everything, everything, everything, frozenset(resources))
    assert rule.matches("UPDATE", "", "v1", "pods", subresource, cluster=False) is expected


@pytest.mark.parametrize(("scope", "resource", "expected"), [
    ("Cluster", "nodes", True), ("Cluster", "pods", False), ("Namespaced", "nodes", False), ("Namespaced", "pods", True),
    ("*", "nodes", True), ("Cluster", "namespaces", True),
])  # fmt: skip
def test_scope(scope: str, resource: str, expected: bool) -> None:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["*"], "scope": scope}
    assert called(hook(rules=[rule]), write(resource)) is expected


def test_namespace_selector() -> None:
    compiled = hook(namespaceSelector={"matchLabels": {"team": "blue"}})
    assert called(compiled, write())
    assert not called(compiled, write(namespace="plain"))
    assert called(compiled, write("nodes"))  # nothing of the cluster is left out
    assert called(compiled, write("namespaces", obj={"metadata": {"labels": {"team": "blue"}}}))
    assert not called(compiled, write("namespaces", obj={"metadata": {}}))
    with pytest.raises(ApiError, match='namespaces "gone" not found'):
        called(compiled, write(namespace="gone"))


def test_object_selector_looks_at_old_and_new() -> None:
    compiled = hook(objectSelector={"matchLabels": {"a": "b"}})
    labelled = {"metadata": {"labels": {"a": "b"}}}
    assert not called(compiled, write())
    assert called(compiled, write(obj=labelled))
    assert called(compiled, write(operation="UPDATE", old=labelled))
    assert called(compiled, write(operation="DELETE", obj=None, old=labelled))


def test_equivalent_versions() -> None:
    rule = {"apiGroups": ["autoscaling"], "apiVersions": ["v2"], "operations": ["*"], "resources": ["horizontalpodautoscalers"]}
    request = write("horizontalpodautoscalers", "autoscaling", "v1")
    found = match(hook(rules=[rule]), request, KINDS, NAMESPACES.get)
    assert found is not None
    assert found.kind.version == "v2"
    assert not called(hook(rules=[rule], matchPolicy="Exact"), request)


def test_configurations_are_exempt() -> None:
    assert is_exempt(write("validatingwebhookconfigurations", "admissionregistration.k8s.io"))
    assert is_exempt(write("mutatingadmissionpolicybindings", "admissionregistration.k8s.io"))
    assert not is_exempt(write())


def test_conditions() -> None:
    variables = {"object": {"data": {"a": "b"}}, "oldObject": None, "request": {"operation": "CREATE"}}
    assert conditions_hold(["request.operation == 'CREATE'", "oldObject == null"], variables)
    assert not conditions_hold(["object.data.none == 'x'", "false"], variables)
    with pytest.raises(ConditionError, match=r"expression 'object.data.none == 'x'' resulted in error: no such key: none"):
        conditions_hold(["object.data.none == 'x'"], variables)


@pytest.mark.parametrize(("expression", "complaint"), [
    ("object.spec.x == 1", ""), ("authorizer.group('').resource('pods').check('get').allowed()", ""),
    ("1", "must evaluate to bool but got int"),
    ("params != null", "compilation failed: ERROR: <input>:1:1: undeclared reference to 'params' (in container '')"),
])  # fmt: skip
def test_mistakes(expression: str, complaint: str) -> None:
    assert condition_mistake(expression).partition("\n")[0] == complaint
