"""What the chain refuses or warns of: namespaces, pod security, nodes, certificates, growth, quota."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from apiserver.auth.interface import User
from machinery.meta.errors import ApiError
from machinery.meta.objects import deep_copy
from machinery.pki import create_csr

Object = dict[str, Any]
NODE = User("system:node:n1", groups=("system:nodes",))


async def refusal_of(writing: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await writing
    return caught.value


async def test_namespaces_that_are_not_there_or_leaving(write: Any, cluster: Any) -> None:
    missing = await refusal_of(write("configmaps", {"metadata": {"namespace": "none", "name": "c"}}))
    assert (missing.code, missing.message) == (404, 'namespaces "none" not found')
    cluster.get("", "namespaces", "", "ns")["status"]["phase"] = "Terminating"
    leaving = await refusal_of(write("configmaps", {"metadata": {"namespace": "ns", "name": "c"}}))
    assert leaving.code == 403
    assert leaving.causes[0]["reason"] == "NamespaceTerminating"
    old = {"metadata": {"namespace": "ns", "name": "c"}}
    await write("configmaps", old, old=old)
    await write("configmaps", None, old=old, operation="DELETE")
    for name in ("default", "kube-system", "kube-public"):
        immortal = await refusal_of(write("namespaces", None, old={"metadata": {"name": name}}, operation="DELETE"))
        assert "this namespace may not be deleted" in immortal.message


def level(cluster: Any, **labels: str) -> None:
    metadata = cluster.get("", "namespaces", "", "ns")["metadata"]
    metadata["labels"] = {f"pod-security.kubernetes.io/{key.replace('_', '-')}": value for key, value in labels.items()}


GOOD = {
    "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}  # fmt: skip


@pytest.mark.parametrize("field", ["containers", "initContainers", "ephemeralContainers"])
async def test_baseline_looks_into_every_container(write: Any, cluster: Any, make_pod: Any, field: str) -> None:
    level(cluster, enforce="baseline")
    bad = {"name": "bad", "image": "x", "securityContext": {"privileged": True}}
    pod = make_pod()
    pod["spec"][field] = [*pod["spec"].get(field, []), bad]
    refused = await refusal_of(write("pods", pod))
    assert refused.message == (
        'pods "p" is forbidden: violates PodSecurity "baseline:latest": '
        'privileged (container "bad" must not set securityContext.privileged=true)'
    )


@pytest.mark.parametrize(
    ("context", "text"),
    [
        ({"runAsUser": 0}, 'runAsUser=0 (container "c" must not set runAsUser=0)'),
        ({"runAsNonRoot": None}, 'pod or container "c" must set securityContext.runAsNonRoot=true'),
        ({"seccompProfile": None}, 'seccompProfile.type to "RuntimeDefault" or "Localhost"'),
        ({"allowPrivilegeEscalation": True}, "allowPrivilegeEscalation != false"),
        ({"capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}}, 'must not include "CHOWN"'),
    ],
)
async def test_restricted_wants_each_of_its_settings(
    write: Any, cluster: Any, make_pod: Any, context: Object, text: str
) -> None:
    level(cluster, enforce="restricted")
    await write("pods", make_pod(container={"securityContext": GOOD}))
    changed = {key: value for key, value in {**GOOD, **context}.items() if value is not None}
    refused = await refusal_of(write("pods", make_pod(container={"securityContext": changed})))
    assert text in refused.message


async def test_templates_are_warned_about_and_pods_refused(write: Any, cluster: Any, make_pod: Any) -> None:
    level(cluster, enforce="baseline")
    pod = make_pod(hostNetwork=True)
    template = {"metadata": {"namespace": "ns", "name": "d"}, "spec": {"template": {"spec": pod["spec"]}}}
    warned = await write("deployments", template)
    assert warned.warnings == ['would violate PodSecurity "baseline:latest": host namespaces (hostNetwork=true)']
    level(cluster, warn="baseline")
    assert len((await write("pods", pod)).warnings) == 1


async def test_a_stricter_namespace_hears_of_its_pods(write: Any, cluster: Any, make_pod: Any) -> None:
    cluster.put("pods", make_pod("a", hostPID=True))
    cluster.put("pods", make_pod("b", hostPID=True))
    old = {"metadata": {"name": "ns"}}
    new = {"metadata": {"name": "ns", "labels": {"pod-security.kubernetes.io/enforce": "baseline"}}}
    request = await write("namespaces", new, old=old)
    assert request.warnings == [
        'existing pods in namespace "ns" violate the new PodSecurity enforce level "baseline:latest"',
        "a (and 1 other pod): host namespaces",
    ]
    wrong = {"metadata": {"name": "ns", "labels": {"pod-security.kubernetes.io/enforce": "strict"}}}
    refused = await refusal_of(write("namespaces", wrong, old=old))
    assert refused.code == 422
    assert refused.causes[0]["field"] == "metadata.labels[pod-security.kubernetes.io/enforce]"


def mirror(**spec: Any) -> Object:
    owner = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "node-uid", "controller": True}
    return {
        "metadata": {
            "namespace": "ns", "name": "web", "annotations": {"kubernetes.io/config.mirror": "h"},
            "ownerReferences": [owner],
        },
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "x"}], **spec},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"nodeName": "n2"}, "can only create pods with spec.nodeName set to itself"),
        ({"serviceAccountName": "robot"}, "a mirror pod may not reference service accounts"),
        ({"imagePullSecrets": [{"name": "s"}]}, "a mirror pod may not reference secrets"),
        ({"volumes": [{"name": "v", "configMap": {"name": "c"}}]}, "can not create pods that reference configmaps"),
        ({"resourceClaims": [{"name": "r"}]}, "can not create pods that reference resourceclaims"),
        ({"volumes": [{"name": "v", "csi": {"driver": "d"}}]}, "reference csidrivers (via CSI volumes)"),
    ],
)
async def test_a_node_makes_only_harmless_mirror_pods(write: Any, cluster: Any, spec: Object, text: str) -> None:
    cluster.put("nodes", {"metadata": {"name": "n1", "uid": "node-uid"}})
    await write("pods", mirror(), user=NODE)
    refused = await refusal_of(write("pods", mirror(**spec), user=NODE))
    assert text in refused.message


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"metadata": {"labels": {"node-restriction.kubernetes.io/x": "y"}}}, "is not allowed to modify labels: "),
        ({"spec": {"taints": [{"key": "a"}]}}, "is not allowed to modify taints"),
        ({"metadata": {"ownerReferences": [{"name": "x"}]}}, "is not allowed to modify ownerReferences"),
    ],
)
async def test_a_node_does_not_change_how_it_is_chosen(write: Any, change: Object, text: str) -> None:
    old = {"metadata": {"name": "n1"}, "spec": {}}
    new = deep_copy(old)
    for key, value in change.items():
        new[key] |= value
    refused = await refusal_of(write("nodes", new, old=old, user=NODE))
    assert text in refused.message
    stranger = await refusal_of(write("nodes", {"metadata": {"name": "n2"}}, user=NODE))
    assert stranger.message == 'nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2"'


async def test_a_node_gets_tokens_for_its_pods_only(write: Any, cluster: Any, make_pod: Any) -> None:
    audience = {"projected": {"sources": [{"serviceAccountToken": {"audience": "bank"}}]}}
    pod = make_pod("a", nodeName="n1", volumes=[{"name": "t", **audience}])
    pod["metadata"]["uid"] = "pod-uid"
    cluster.put("pods", pod)
    bound = {"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "pod-uid"}

    def ask(user: User = NODE, **spec: Any) -> Any:
        body = {"metadata": {"namespace": "ns", "name": "robot"}, "spec": {"boundObjectRef": bound, **spec}}
        return write("serviceaccounts", body, subresource="token", name="robot", user=user)

    await ask(audiences=["bank"])
    await ask(audiences=["https://kubernetes.default.svc"])
    for spec, text in (
        ({"audiences": ["vault"]}, 'audience "vault" not found in pod spec volume'),
        ({"audiences": ["bank", "vault"]}, "node may only request 0 or 1 audiences"),
        ({"boundObjectRef": None}, "node requested token not bound to a pod"),
        ({"boundObjectRef": {**bound, "uid": "x"}}, "does not match the UID in record"),
    ):
        assert text in (await refusal_of(ask(**spec))).message
    other = User("system:node:n2", groups=("system:nodes",))
    assert "scheduled on a different node" in (await refusal_of(ask(other))).message


async def test_certificates_need_the_signers_rights(write: Any, authorizer: Any) -> None:
    pem, _ = create_csr("ann", organizations=["system:masters"])
    spec = {"request": base64.b64encode(pem).decode(), "signerName": "kubernetes.io/kube-apiserver-client"}
    csr = {"metadata": {"name": "r"}, "spec": spec}
    assert "system:masters group is not allowed" in (await refusal_of(write("certificatesigningrequests", csr))).message
    other = {**csr, "spec": {**spec, "signerName": "example.com/maple"}}
    await write("certificatesigningrequests", other)
    approval = {"old": other, "subresource": "approval"}
    refused = await refusal_of(write("certificatesigningrequests", other, **approval))
    assert 'not permitted to approve requests with signerName "example.com/maple"' in refused.message
    authorizer.granted.add(("approve", "example.com/*"))
    await write("certificatesigningrequests", other, **approval)


async def test_a_claim_grows_where_its_class_lets_it(write: Any, cluster: Any) -> None:
    def claim(size: str) -> Object:
        spec = {"storageClassName": "sc", "resources": {"requests": {"storage": size}}}
        return {"metadata": {"namespace": "ns", "name": "c"}, "spec": spec, "status": {"phase": "Bound"}}

    refused = await refusal_of(write("persistentvolumeclaims", claim("2Gi"), old=claim("1Gi")))
    assert "only dynamically provisioned pvc can be resized" in refused.message
    cluster.put("storageclasses", {"metadata": {"name": "sc"}, "allowVolumeExpansion": True}, "storage.k8s.io")
    await write("persistentvolumeclaims", claim("2Gi"), old=claim("1Gi"))


def quota(cluster: Any, hard: dict[str, str], used: dict[str, str] | None = None, **spec: Any) -> Object:
    status: Object = {"hard": hard, "used": used if used is not None else dict.fromkeys(hard, "0")}
    made = {"metadata": {"namespace": "ns", "name": "q"}, "spec": {"hard": hard, **spec}, "status": status}
    return cluster.put("resourcequotas", made)  # type: ignore[no-any-return]


def used(cluster: Any) -> dict[str, str]:
    return cluster.get("", "resourcequotas", "ns", "q")["status"]["used"]  # type: ignore[no-any-return]


async def test_quota_says_what_is_missing_and_what_is_too_much(write: Any, cluster: Any, make_pod: Any) -> None:
    quota(cluster, {"pods": "1", "requests.cpu": "1", "limits.memory": "1Gi"})
    silent = await refusal_of(write("pods", make_pod()))
    assert silent.message.endswith("failed quota: q: must specify limits.memory for: c; requests.cpu for: c")
    big = {"resources": {"requests": {"cpu": "3"}, "limits": {"memory": "2Gi"}}}
    refused = await refusal_of(write("pods", make_pod(container=big)))
    assert refused.message == (
        'pods "p" is forbidden: exceeded quota: q, requested: limits.memory=2Gi,requests.cpu=3, '
        "used: limits.memory=0,requests.cpu=0, limited: limits.memory=1Gi,requests.cpu=1"
    )
    small = {"resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "10Mi"}}}
    await write("pods", make_pod(container=small), dry_run=True)
    assert used(cluster)["pods"] == "0"
    await write("pods", make_pod(container=small))
    assert used(cluster) == {"pods": "1", "requests.cpu": "100m", "limits.memory": "10Mi"}


async def test_the_last_place_is_taken_once(write: Any, cluster: Any) -> None:
    quota(cluster, {"configmaps": "3"})

    async def one(number: int) -> bool:
        try:
            await write("configmaps", {"metadata": {"namespace": "ns", "name": f"c{number}"}})
        except ApiError:
            return False
        return True

    assert sum(await asyncio.gather(*(one(number) for number in range(20)))) == 3
    assert used(cluster)["configmaps"] == "3"


async def test_room_taken_elsewhere_meanwhile_is_seen(write: Any, cluster: Any) -> None:
    quota(cluster, {"configmaps": "1"})

    def other_server_was_quicker() -> None:
        quota(cluster, {"configmaps": "1"}, {"configmaps": "1"})

    cluster.before_write = other_server_was_quicker
    refused = await refusal_of(write("configmaps", {"metadata": {"namespace": "ns", "name": "c"}}))
    assert "used: configmaps=1, limited: configmaps=1" in refused.message


@pytest.mark.parametrize(
    ("scope", "spec", "counted"),
    [
        ("BestEffort", {}, True), ("NotBestEffort", {}, False), ("Terminating", {"activeDeadlineSeconds": 5}, True),
        ("NotTerminating", {"activeDeadlineSeconds": 5}, False),
    ],
)  # fmt: skip
async def test_scopes_choose_pods(
    write: Any, cluster: Any, make_pod: Any, scope: str, spec: Object, counted: bool
) -> None:
    quota(cluster, {"pods": "0"}, scopes=[scope])
    if counted:
        assert "exceeded quota: q" in (await refusal_of(write("pods", make_pod(**spec)))).message
    else:
        await write("pods", make_pod(**spec))


async def test_bounds_without_use_are_not_passed(write: Any, cluster: Any) -> None:
    quota(cluster, {"configmaps": "1"}, {})
    refused = await refusal_of(write("configmaps", {"metadata": {"namespace": "ns", "name": "c"}}))
    assert refused.message.endswith("status unknown for quota: q, resources: configmaps")
