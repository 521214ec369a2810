"""Which pods a node takes."""

from __future__ import annotations

import pytest

from kubelet.admission import admit, matches_node
from tests.unit.kubelet.builders import container, pod

NODE = {
    "metadata": {"name": "n1", "labels": {"zone": "a", "size": "7"}},
    "spec": {},
    "status": {"allocatable": {"cpu": "2", "memory": "1Gi", "pods": "3"}},
}


def asking(**requests: str):
    return pod(container(resources={"requests": requests}))


def with_port(port: int, **more):
    p = pod(container(ports=[{"containerPort": 80, "hostPort": port, **more}]))
    p["metadata"]["uid"] = f"u{port}{more}"
    return p


def reason(p, others=(), node=NODE, **more):
    refusal = admit(p, others, node, **more)
    return None if refusal is None else refusal.reason


def test_room_counts_what_runs() -> None:
    assert reason(asking(cpu="1500m")) is None
    refusal = admit(asking(cpu="1500m"), [asking(cpu="600m")], NODE)
    assert refusal is not None
    assert refusal.reason == "OutOfcpu"
    assert refusal.message == "Node didn't have enough resource: cpu, requested: 1500, used: 600, capacity: 2000"
    assert reason(asking(memory="2Gi")) == "OutOfmemory"
    assert reason(asking(**{"example.com/gpu": "1"})) == "OutOfexample.com/gpu"
    assert reason(pod(), [pod(), pod(), pod()]) == "OutOfpods"


def test_the_highest_init_container_counts() -> None:
    p = pod(
        container(resources={"requests": {"cpu": "1"}}), init=[container("i", resources={"requests": {"cpu": "3"}})]
    )
    assert reason(p) == "OutOfcpu"


@pytest.mark.parametrize(
    ("expression", "fits"),
    [
        ({"key": "zone", "operator": "In", "values": ["a", "b"]}, True),
        ({"key": "zone", "operator": "NotIn", "values": ["a"]}, False),
        ({"key": "other", "operator": "Exists"}, False),
        ({"key": "other", "operator": "DoesNotExist"}, True),
        ({"key": "size", "operator": "Gt", "values": ["6"]}, True),
        ({"key": "size", "operator": "Lt", "values": ["6"]}, False),
        ({"key": "zone", "operator": "Gt", "values": ["6"]}, False),
    ],
)
def test_affinity_operators(expression, fits: bool) -> None:
    term = {"matchExpressions": [expression]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}
    assert matches_node(pod(affinity=affinity), NODE) is fits


def test_selectors_fields_and_empty_terms() -> None:
    assert reason(pod(nodeSelector={"zone": "b"})) == "NodeAffinity"
    field = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}
    for terms, fits in (([field], True), ([{}], False), ([], False)):
        affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
        assert matches_node(pod(affinity=affinity), NODE) is fits


@pytest.mark.parametrize(
    ("other", "taken"),
    [
        ({}, True),
        ({"protocol": "UDP"}, False),
        ({"hostIP": "10.0.0.1"}, True),
        ({"hostIP": "0.0.0.0"}, True),
    ],
)
def test_a_host_port_is_taken_by_address_and_protocol(other, taken: bool) -> None:
    assert (reason(with_port(8000), [with_port(8000, **other)]) == "NodePorts") is taken


def test_different_addresses_share_a_port() -> None:
    assert reason(with_port(8000, hostIP="10.0.0.1"), [with_port(8000, hostIP="10.0.0.2")]) is None


def test_sysctls() -> None:
    def setting(name: str, **spec):
        return pod(securityContext={"sysctls": [{"name": name, "value": "1"}]}, **spec)

    assert reason(setting("net.ipv4.tcp_syncookies")) is None
    assert reason(setting("kernel.msgmax")) == "SysctlForbidden"
    assert reason(setting("kernel.msgmax"), allowed_sysctls=["kernel.msg*"]) is None
    assert reason(setting("net.ipv4.tcp_syncookies", hostNetwork=True)) == "SysctlForbidden"


def test_only_taints_that_execute_keep_a_bound_pod_out() -> None:
    taint = {"key": "k", "value": "v", "effect": "NoExecute"}
    node = {**NODE, "spec": {"taints": [taint]}}
    assert reason(pod(), node=node) == "TaintToleration"
    assert reason(pod(tolerations=[{"key": "k", "operator": "Exists"}]), node=node) is None
    assert reason(pod(tolerations=[{"key": "k", "value": "v", "effect": "NoExecute"}]), node=node) is None
    assert reason(pod(tolerations=[{"key": "k", "value": "w"}]), node=node) == "TaintToleration"
    assert reason(pod(), node={**NODE, "spec": {"taints": [{**taint, "effect": "NoSchedule"}]}}) is None
