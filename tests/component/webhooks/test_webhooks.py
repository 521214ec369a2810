"""What a real webhook server does to a write: mutates, denies, warns, is late, is sloppy, is asked again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.component.apiserver.conftest import Plane
from tests.component.webhooks.conftest import Configure, Hook, patch_of

MAPS = "/api/v1/namespaces/default/configmaps"
ALLOW = {"allowed": True}
REF = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}


def label(name: str, value: str = "yes") -> dict[str, Any]:
    return patch_of(
        {"op": "add", "path": "/metadata/labels", "value": {name: value}}
    )


async def test_patch_is_stored_and_completed_by_defaults(plane: Plane, hook: Hook, configure: Configure) -> None:
    await configure("Mutating", "m", hook.config("ports", "/m", rules=[
        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["services"]},
    ]))  # fmt: skip
    port = {"name": "extra", "port": 81}
    hook.answers["/m"] = lambda _: patch_of(
        {"op": "add", "path": "/spec/ports/-", "value": port}, {"op": "add", "path": "/spec/nonsense", "value": 1},
    )  # fmt: skip
    made = await plane.make("/api/v1/namespaces/default/services", {
        "metadata": {"name": "s"}, "spec": {"ports": [{"name": "one", "port": 80}]},
    })  # fmt: skip
    assert made["spec"]["ports"][1] == {"name": "extra", "port": 81, "protocol": "TCP", "targetPort": 81}
    assert "nonsense" not in made["spec"]
    (asked,) = hook.requests("/m")
    assert asked["operation"] == "CREATE"
    assert asked["oldObject"] is None
    assert asked["dryRun"] is False
    assert asked["object"]["spec"]["ports"][0]["protocol"] == "TCP"
    assert asked["userInfo"] == {"username": "admin", "uid": "1", "groups": ["system:masters", "system:authenticated"]}
    assert asked["kind"] == asked["requestKind"] == {"group": "", "version": "v1", "kind": "Service"}
    assert asked["options"]["kind"] == "CreateOptions"


async def test_patched_object_is_validated(plane: Plane, hook: Hook, configure: Configure) -> None:
    await configure("Mutating", "m", hook.config("bad", "/m"))
    hook.answers["/m"] = lambda _: patch_of({"op": "add", "path": "/data", "value": {"bad key": "x"}})
    status, doc, _ = await plane.call("POST", MAPS, {"metadata": {"name": "c"}})
    assert (status, doc["details"]["causes"][0]["field"]) == (422, "data[bad key]")


async def test_denial_keeps_the_webhooks_status(plane: Plane, hook: Hook, configure: Configure) -> None:
    await configure("Validating", "v", hook.config("no", "/v"))
    hook.answers["/v"] = lambda _: {"allowed": False, "status": {"code": 418, "message": "not today"}}
    status, doc, _ = await plane.call("POST", MAPS, {"metadata": {"name": "c"}})
    assert (status, doc["message"]) == (418, 'admission webhook "no.example.com" denied the request: not today')
    hook.answers["/v"] = lambda _: {"allowed": False, "status": {"code": 200}}
    status, doc, _ = await plane.call("POST", MAPS, {"metadata": {"name": "c"}})
    assert (status, doc["message"]) == (400, 'admission webhook "no.example.com" denied the request without explanation')


async def test_warnings_reach_the_client(plane: Plane, hook: Hook, configure: Configure) -> None:
    await configure("Validating", "v", hook.config("warn", "/v"))
    hook.answers["/v"] = lambda _: {"allowed": True, "warnings": ["mind the gap"]}
    status, _, answer = await plane.call("POST", MAPS, {"metadata": {"name": "c"}})
    assert status == 201
    assert answer.headers.getall("Warning") == ['299 - "mind the gap"']


@pytest.mark.parametrize(("policy", "expected"), [("Fail", 500), ("Ignore", 201)])
async def test_late_answer(plane: Plane, hook: Hook, configure: Configure, policy: str, expected: int) -> None:
    await configure("Validating", "v", hook.config("slow", "/v", timeoutSeconds=1, failurePolicy=policy))
    hook.answers["/v"] = lambda _: ALLOW
    hook.delay_seconds = 1.5
    status, doc, _ = await plane.call("POST", MAPS, {"metadata": {"name": "c"}})
    assert status == expected
    if expected == 500:
        assert doc["message"] == (
            'Internal error occurred: failed calling webhook "slow.example.com": failed to call webhook: '
            f'Post "{hook.url("/v")}?timeout=1s": context deadline exceeded'
        )


async def test_untrusted_certificate(plane: Plane, hook: Hook, configure: Configure) -> None:
    config = hook.config("tls", "/v", clientConfig={"url": hook.url("/v")})
    await configure("Validating", "v", config)
    status, doc, _ = await plane.call("POST", MAPS, {"metadata": {"name": "c"}})
    assert status == 500
    assert "tls: failed to verify certificate: x509: certificate signed by unknown authority" in doc["message"]


@pytest.mark.parametrize(("raw", "why"), [
    (b'{"kind":"Pod","apiVersion":"v1"}', "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got v1, "
     "Kind=Pod"),
    (b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}', "webhook response was absent"),
    (b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"x","allowed":true}}',
     "expected response.uid="),
])  # fmt: skip
async def test_sloppy_answers(plane: Plane, hook: Hook, configure: Configure, raw: bytes, why: str) -> None:
    await configure("Mutating", "m", hook.config("sloppy", "/m"))
    hook.raw = raw
    status, doc, _ = await plane.call("POST", MAPS, {"metadata": {"name": "c"}})
    assert status == 500
    assert f'failed calling webhook "sloppy.example.com": received invalid webhook response: {why}' in doc["message"]


async def test_order_and_reinvocation(plane: Plane, hook: Hook, configure: Configure) -> None:
    """By name of configuration; the one that asks for it sees what the other did, once."""
    await configure("Mutating", "b", hook.config("second", "/second"))
    await configure("Mutating", "a", hook.config("first", "/first", reinvocationPolicy="IfNeeded"))
    hook.answers["/first"] = lambda asked: ALLOW if "data" not in asked["object"] else label("seen")
    hook.answers["/second"] = lambda _: patch_of({"op": "add", "path": "/data", "value": {"k": "v"}})
    made = await plane.make(MAPS, {"metadata": {"name": "c"}})
    assert [path for path, _ in hook.asked] == ["/first", "/second", "/first"]
    assert made["data"] == {"k": "v"}
    assert made["metadata"]["labels"] == {"seen": "yes"}


async def test_no_reinvocation_unless_wanted(plane: Plane, hook: Hook, configure: Configure) -> None:
    await configure("Mutating", "a", hook.config("first", "/first"), hook.config("second", "/second"))
    hook.answers["/first"] = lambda _: ALLOW
    hook.answers["/second"] = lambda _: label("x")
    await plane.make(MAPS, {"metadata": {"name": "c"}})
    assert [path for path, _ in hook.asked] == ["/first", "/second"]


async def test_dry_run_and_delete(plane: Plane, hook: Hook, configure: Configure) -> None:
    await plane.make(MAPS, {"metadata": {"name": "c"}})
    await configure("Validating", "v", hook.config("watch", "/v"))
    hook.answers["/v"] = lambda _: ALLOW
    status, _, _ = await plane.call("POST", f"{MAPS}?dryRun=All", {"metadata": {"name": "d"}})
    assert status == 201
    status, _, _ = await plane.call("DELETE", f"{MAPS}/c")
    assert status == 200
    created, deleted = hook.requests("/v")
    assert created["dryRun"] is True
    assert deleted["operation"] == "DELETE"
    assert deleted["object"] is None
    assert deleted["oldObject"]["metadata"]["name"] == deleted["name"] == "c"


async def test_service_reached_through_an_endpoint(plane: Plane, hook: Hook, configure: Configure) -> None:
    """The name on the certificate is that of the service; the address is that of a ready endpoint."""
    await plane.make("/api/v1/namespaces/default/services", {"metadata": {"name": "hook"}, "spec": {"ports": [{"port": 443}]}})
    config = {"service": {"namespace": "default", "name": "hook", "path": "/v"}, "caBundle": hook.ca_bundle}
    await configure("Validating", "v", hook.config("svc", "/v", clientConfig=config))
    hook.answers["/v"] = lambda _: ALLOW
    status, doc, _ = await plane.call("POST", MAPS, {"metadata": {"name": "c"}})
    assert status == 500
    assert doc["message"].endswith('Post "https://hook.default.svc:443/v?timeout=10s": no endpoints available for service "hook"')
    await plane.make("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", {
        "metadata": {"name": "hook-1", "labels": {"kubernetes.io/service-name": "hook"}}, "addressType": "FQDN",
        "endpoints": [{"addresses": ["localhost"]}], "ports": [{"name": "", "port": hook.port}],
    })  # fmt: skip
    assert (await plane.call("POST", MAPS, {"metadata": {"name": "c"}}))[0] == 201


async def test_equivalent_version_is_shown_in_the_form_of_the_rule(plane: Plane, hook: Hook, configure: Configure) -> None:
    await configure("Mutating", "m", hook.config("hpa", "/m", rules=[
        {"apiGroups": ["autoscaling"], "apiVersions": ["v2"], "operations": ["*"], "resources": ["horizontalpodautoscalers"]},
    ]))  # fmt: skip
    hook.answers["/m"] = lambda _: patch_of({"op": "replace", "path": "/spec/maxReplicas", "value": 7})
    made = await plane.make("/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers", {
        "metadata": {"name": "h"}, "spec": {"maxReplicas": 3, "scaleTargetRef": REF},
    })  # fmt: skip
    assert made["apiVersion"] == "autoscaling/v1"
    assert made["spec"]["maxReplicas"] == 7
    (asked,) = hook.requests("/m")
    assert asked["object"]["apiVersion"] == "autoscaling/v2"
    assert (asked["kind"]["version"], asked["requestKind"]["version"]) == ("v2", "v1")


async def test_scale_is_shown_and_patched_as_a_scale(plane: Plane, hook: Hook, configure: Configure) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    await plane.make("/apis/apps/v1/namespaces/default/deployments", {
        "metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template},
    })  # fmt: skip
    await configure("Mutating", "m", hook.config("scale", "/m", rules=[
        {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["deployments/scale"]},
    ]))  # fmt: skip
    hook.answers["/m"] = lambda _: patch_of({"op": "replace", "path": "/spec/replicas", "value": 2})
    status, doc, _ = await plane.call(
        "PATCH", "/apis/apps/v1/namespaces/default/deployments/d/scale", {"spec": {"replicas": 9}},
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert (status, doc["spec"]["replicas"]) == (200, 2)
    (asked,) = hook.requests("/m")
    assert asked["kind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    assert asked["object"]["spec"]["replicas"] == 9
    assert asked["subResource"] == "scale"


async def test_never_called_for_configurations(plane: Plane, hook: Hook, configure: Configure) -> None:
    rule = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}
    await configure("Validating", "v", hook.config("all", "/v", rules=[rule]))
    hook.answers["/v"] = lambda _: {"allowed": False}
    assert (await plane.call("POST", MAPS, {"metadata": {"name": "c"}}))[0] == 400
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/v"
    assert (await plane.call("DELETE", path))[0] == 200
    assert (await plane.call("POST", MAPS, {"metadata": {"name": "c"}}))[0] == 201


async def test_conditions_may_ask_what_the_user_may(plane: Plane, hook: Hook, configure: Configure) -> None:
    """A common exemption: whoever may do something special is not asked."""
    exempt = "!authorizer.group('example.com').resource('exemptions').check('use').allowed()"
    await configure("Validating", "v", hook.config("cond", "/v", matchConditions=[{"name": "not-exempt", "expression": exempt}]))
    hook.answers["/v"] = lambda _: {"allowed": False}
    await plane.make(MAPS, {"metadata": {"name": "by-admin"}})  # who may do everything
    assert hook.asked == []
    rights = {"metadata": {"name": "maps", "namespace": "default"},
              "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]}]}  # fmt: skip
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
    await plane.make(f"{rbac}/roles", rights)
    await plane.make(f"{rbac}/rolebindings", {
        "metadata": {"name": "maps"}, "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "alice"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "maps"},
    })  # fmt: skip
    status, _, _ = await plane.call("POST", MAPS, {"metadata": {"name": "by-alice"}}, token="user")
    assert status == 400
