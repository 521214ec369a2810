"""What the chain fills in: accounts, tokens, tolerations, priorities, classes, limits."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.admission.chain import AdmissionChain
from machinery.meta.errors import ApiError

Object = dict[str, Any]


async def test_a_pod_gets_a_token_of_its_account(write: Any, cluster: Any, make_pod: Any) -> None:
    cluster.put(
        "serviceaccounts",
        {"metadata": {"namespace": "ns", "name": "default"}, "imagePullSecrets": [{"name": "reg"}]},
    )
    pod = (await write("pods", make_pod(initContainers=[{"name": "i", "image": "x"}]))).obj
    spec = pod["spec"]
    (volume,) = spec["volumes"]
    assert volume["name"].startswith("kube-api-access-")
    assert volume["projected"]["sources"][0] == {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}
    mount = {
        "name": volume["name"], "readOnly": True, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
    }  # fmt: skip
    assert spec["containers"][0]["volumeMounts"] == spec["initContainers"][0]["volumeMounts"] == [mount]
    assert spec["serviceAccountName"] == spec["serviceAccount"] == "default"
    assert spec["imagePullSecrets"] == [{"name": "reg"}]


@pytest.mark.parametrize(
    ("account", "pod", "mounted"),
    [(None, None, True), (False, None, False), (False, True, True), (True, False, False), (None, False, False)],
)
async def test_the_pod_has_the_last_word_about_its_token(
    write: Any, cluster: Any, make_pod: Any, account: bool | None, pod: bool | None, mounted: bool
) -> None:
    if account is not None:
        cluster.get("", "serviceaccounts", "ns", "default")["automountServiceAccountToken"] = account
    spec = {} if pod is None else {"automountServiceAccountToken": pod}
    made = (await write("pods", make_pod(**spec))).obj
    assert bool(made["spec"].get("volumes")) is mounted


async def test_a_pod_of_no_account_is_refused(write: Any, make_pod: Any) -> None:
    with pytest.raises(ApiError) as refusal:
        await write("pods", make_pod(serviceAccountName="none"))
    assert refusal.value.message == (
        'pods "p" is forbidden: error looking up service account ns/none: serviceaccount "none" not found'
    )


@pytest.mark.parametrize(
    "part",
    [
        {"containers": [{"name": "c", "envFrom": [{"secretRef": {"name": "other"}}]}]},
        {"containers": [], "initContainers": [
            {"name": "i", "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "other"}}}]}]},
        {"containers": [], "ephemeralContainers": [{"name": "e", "envFrom": [{"secretRef": {"name": "other"}}]}]},
        {"containers": [], "volumes": [{"name": "v", "secret": {"secretName": "other"}}]},
        {"containers": [], "volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "other"}}]}}]},
        {"containers": [], "imagePullSecrets": [{"name": "other"}]},
    ],
)  # fmt: skip
async def test_a_guarded_account_lends_only_its_secrets(write: Any, cluster: Any, part: Object) -> None:
    account = cluster.get("", "serviceaccounts", "ns", "default")
    account["metadata"]["annotations"] = {"kubernetes.io/enforce-mountable-secrets": "true"}
    account["secrets"] = [{"name": "good"}]
    with pytest.raises(ApiError, match="service account default does not reference that"):
        await write("pods", {"metadata": {"namespace": "ns", "name": "p"}, "spec": part})


async def test_tolerations_and_priority_are_filled_in_once(write: Any, cluster: Any, make_pod: Any) -> None:
    cluster.put("priorityclasses", {"metadata": {"name": "high"}, "value": 7}, "scheduling.k8s.io")
    own = {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}
    pod = (await write("pods", make_pod(priorityClassName="high", tolerations=[own]))).obj
    assert (pod["spec"]["priority"], pod["spec"]["preemptionPolicy"]) == (7, "PreemptLowerPriority")
    assert [t["key"] for t in pod["spec"]["tolerations"]] == [own["key"], "node.kubernetes.io/unreachable"]
    again = (await write("pods", pod, old=pod)).obj
    assert again == pod


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"priorityClassName": "none"}, "no PriorityClass with name none was found"),
        ({"priority": 5}, "the integer value of priority (5) must not be provided in pod spec"),
        ({"runtimeClassName": "none"}, 'pod rejected: RuntimeClass "none" not found'),
        ({"overhead": {"cpu": "1"}}, "Pod Overhead set without corresponding RuntimeClass"),
    ],
)
async def test_what_does_not_exist_is_refused(write: Any, make_pod: Any, spec: Object, text: str) -> None:
    with pytest.raises(ApiError) as refusal:
        await write("pods", make_pod(**spec))
    assert refusal.value.code == 403
    assert text in refusal.value.message


async def test_a_runtime_class_brings_overhead_and_scheduling(write: Any, cluster: Any, make_pod: Any) -> None:
    cluster.put(
        "runtimeclasses",
        {"metadata": {"name": "r"}, "overhead": {"podFixed": {"cpu": "250m"}},
         "scheduling": {"nodeSelector": {"a": "b"}, "tolerations": [{"key": "t", "operator": "Exists"}]}},
        "node.k8s.io",
    )  # fmt: skip
    pod = (await write("pods", make_pod(runtimeClassName="r", nodeSelector={"c": "d"}, overhead={"cpu": "0.25"}))).obj
    assert pod["spec"]["overhead"] == {"cpu": "250m"}
    assert pod["spec"]["nodeSelector"] == {"a": "b", "c": "d"}
    assert pod["spec"]["tolerations"][-1] == {"key": "t", "operator": "Exists"}
    with pytest.raises(ApiError, match="conflict: "):
        await write("pods", make_pod(runtimeClassName="r", nodeSelector={"a": "z"}))


async def test_a_new_node_is_tainted_and_its_pods_carry_its_zone(write: Any, cluster: Any, make_pod: Any) -> None:
    zone = {"topology.kubernetes.io/zone": "z"}
    node = (await write("nodes", {"metadata": {"name": "n", "labels": {**zone, "other": "x"}}})).obj
    assert node["spec"]["taints"] == [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]
    cluster.put("nodes", node)
    assert (await write("pods", make_pod(nodeName="n"))).obj["metadata"]["labels"] == zone
    binding = {"metadata": {"namespace": "ns", "name": "p"}, "target": {"kind": "Node", "name": "n"}}
    assert (await write("pods", binding, subresource="binding", name="p")).obj["metadata"]["labels"] == zone


async def test_default_classes_and_finalizers(write: Any, cluster: Any) -> None:
    for name, made_at in (("old", "2026-01-01T00:00:00Z"), ("new", "2026-02-01T00:00:00Z")):
        annotations = {
            "storageclass.kubernetes.io/is-default-class": "true",
            "ingressclass.kubernetes.io/is-default-class": "true",
        }
        metadata = {"name": name, "annotations": annotations, "creationTimestamp": made_at}
        cluster.put("storageclasses", {"metadata": metadata}, "storage.k8s.io")
        cluster.put("ingressclasses", {"metadata": metadata}, "networking.k8s.io")
    claim = (await write("persistentvolumeclaims", {"metadata": {"namespace": "ns", "name": "c"}, "spec": {}})).obj
    assert claim["spec"]["storageClassName"] == "new"
    assert claim["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    ingress = (await write("ingresses", {"metadata": {"namespace": "ns", "name": "i"}, "spec": {}})).obj
    assert ingress["spec"]["ingressClassName"] == "new"


def limit_range(**item: Any) -> Object:
    return {"metadata": {"namespace": "ns", "name": "l"}, "spec": {"limits": [{"type": "Container", **item}]}}


async def test_limits_fill_in_and_bound(write: Any, cluster: Any, make_pod: Any) -> None:
    cluster.put("limitranges", limit_range(
        default={"cpu": "500m", "memory": "256Mi"}, defaultRequest={"cpu": "100m", "memory": "256Mi"},
        min={"cpu": "50m"}, max={"cpu": "1"}, maxLimitRequestRatio={"cpu": "10"},
    ))  # fmt: skip
    pod = (await write("pods", make_pod())).obj
    assert pod["spec"]["containers"][0]["resources"] == {
        "limits": {"cpu": "500m", "memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "256Mi"},
    }  # fmt: skip
    assert pod["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: cpu, memory request for container c; cpu, memory limit for container c"
    )
    for requests, limits, text in (
        ("10m", "20m", "minimum cpu usage per Container is 50m, but request is 10m"),
        ("900m", "3", "maximum cpu usage per Container is 1, but limit is 3"),
        ("60m", "900m", "cpu max limit to request ratio per Container is 10, but provided ratio is 15.000000"),
    ):
        resources = {"requests": {"cpu": requests}, "limits": {"cpu": limits}}
        with pytest.raises(ApiError) as refusal:
            await write("pods", make_pod(container={"resources": resources}))
        assert text in refusal.value.message


def test_the_chain_asks_only_who_is_concerned(chain: AdmissionChain) -> None:
    names = [plugin.name for plugin in chain.plugins]
    assert names[:2] == ["CreateOnUpdate", "NamespaceLifecycle"]
    assert names.index("ServiceAccount") < names.index("NodeRestriction") < names.index("TaintNodesByCondition")
    assert names[-1] == "ResourceQuota"
    assert names.index("DefaultTolerationSeconds") < names.index("RuntimeClass")
