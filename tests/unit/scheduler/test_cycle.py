"""Decisions: where a pod goes, and the sentence when it goes nowhere."""

import random

import numpy as np
import pytest

from scheduler.cycle import Profile, Unfit
from scheduler.pod_info import pod_info
from tests.unit.scheduler.builders import node, pod, table

RNG = random.Random(7)


def place(made, wanted):
    return Profile().schedule(made, pod_info(wanted), RNG)


def why(made, wanted):
    result = place(made, wanted)
    assert isinstance(result, Unfit), f"placed on {result}"
    return result.message()


def term(key, *labels, **more):
    return {"topologyKey": key, "labelSelector": {"matchLabels": dict(labels)}, **more}


def required(kind, *terms):
    return {"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": list(terms)}}}


def test_no_nodes():
    assert why(table(), pod("p")) == "no nodes available to schedule pods"


def test_the_first_refusing_filter_names_the_reason_and_reasons_are_sorted():
    made = table(
        node("a", unschedulable=True),
        node("b", taints=[{"key": "k", "effect": "NoSchedule"}]),
        node("c", cpu="1", memory="1Gi"),
    )
    assert why(made, pod("p", requests={"cpu": "2", "memory": "2Gi"})) == (
        "0/3 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, 1 node(s) had untolerated taint(s), "
        "1 node(s) were unschedulable."
    )


def test_requests_of_running_pods_count_and_an_init_container_counts_by_its_peak():
    made = table(node("a", cpu="2"), pods=[pod("r", requests={"cpu": "1"}, node_name="a")])
    big_init = [{"name": "i", "resources": {"requests": {"cpu": "1500m"}}}]
    assert why(made, pod("p", init=big_init)) == "0/1 nodes are available: 1 Insufficient cpu."
    small = [{"name": "i", "resources": {"requests": {"cpu": "1"}}}]
    assert place(made, pod("p", requests={"cpu": "500m"}, init=small)) == "a"


def test_a_sidecar_adds_to_the_containers():
    sidecar = [{"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "1500m"}}}]
    assert why(table(node("a", cpu="4")), pod("p", requests={"cpu": "3"}, init=sidecar)).endswith("1 Insufficient cpu.")


def test_the_number_of_pods_is_a_resource():
    made = table(node("a", pods="1"), pods=[pod("r", node_name="a")])
    assert why(made, pod("p")) == "0/1 nodes are available: 1 Too many pods."


@pytest.mark.parametrize(
    ("toleration", "fits"),
    [
        ({"key": "k", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "k", "value": "v", "effect": "NoSchedule"}, True),
        ({"key": "k", "value": "other"}, False),
        ({"key": "k", "operator": "Exists", "effect": "NoExecute"}, False),
    ],
)
def test_tolerations(toleration, fits):
    made = table(node("a", taints=[{"key": "k", "value": "v", "effect": "NoSchedule"}]))
    assert (place(made, pod("p", tolerations=[toleration])) == "a") is fits


def test_a_tolerated_cordon_is_no_hindrance():
    made = table(node("a", unschedulable=True, taints=[{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]))
    assert place(made, pod("p", tolerations=[{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}])) == "a"


@pytest.mark.parametrize(
    ("expression", "chosen"),
    [
        ({"key": "z", "operator": "In", "values": ["1", "9"]}, "a"),
        ({"key": "z", "operator": "NotIn", "values": ["1", "2"]}, "c"),
        ({"key": "z", "operator": "DoesNotExist"}, "c"),
        ({"key": "z", "operator": "Gt", "values": ["1"]}, "b"),
        ({"key": "z", "operator": "Lt", "values": ["2"]}, "a"),
    ],
)
def test_node_affinity_operators(expression, chosen):
    made = table(node("a", labels={"z": "1"}), node("b", labels={"z": "2"}), node("c"))
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}}
    assert place(made, pod("p", affinity=affinity)) == chosen


def test_a_pod_pinned_by_name_says_which_plugin_ruled_the_others_out():
    made = table(node("a", cpu="1"), node("b"))
    fields = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}]
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": fields}}}
    assert why(made, pod("p", affinity=affinity, requests={"cpu": "2"})) == (
        "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't satisfy plugin(s) [NodeAffinity]."
    )


def test_host_ports_clash_by_protocol_and_address():
    def ports(**port):
        return {"containers": [{"name": "c", "image": "x", "ports": [{"containerPort": 80, "hostPort": 8080, **port}]}]}

    made = table(node("a"), pods=[{**pod("r", node_name="a"), "spec": {**pod("r", node_name="a")["spec"], **ports()}}])
    assert place(made, pod("p", **ports(protocol="UDP"))) == "a"
    assert "didn't have free ports" in why(made, pod("p", **ports(hostIP="127.0.0.1")))


def test_the_emptier_node_wins_and_equals_are_shared():
    made = table(node("a"), node("b"), pods=[pod("r", requests={"cpu": "1", "memory": "1Gi"}, node_name="a")])
    assert place(made, pod("p", requests={"cpu": "1", "memory": "1Gi"})) == "b"
    even = table(node("a"), node("b"))
    assert {place(even, pod("p")) for _ in range(40)} == {"a", "b"}


def test_affinity_follows_and_anti_affinity_flees_by_domain():
    zones = [node("a", labels={"zone": "1"}), node("b", labels={"zone": "1"}), node("c", labels={"zone": "2"})]
    made = table(*zones, pods=[pod("db", labels={"app": "db"}, node_name="a")])
    assert place(made, pod("p", **required("podAffinity", term("zone", ("app", "db"))))) in ("a", "b")
    assert place(made, pod("p", **required("podAntiAffinity", term("zone", ("app", "db"))))) == "c"


def test_anti_affinity_of_running_pods_is_honoured_by_newcomers():
    made = table(node("a"), pods=[pod("r", node_name="a", **required("podAntiAffinity", term("kubernetes.io/hostname", ("app", "x"))))])
    assert why(made, pod("p", labels={"app": "x"})) == (
        "0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules."
    )
    assert place(made, pod("p", labels={"app": "y"})) == "a"


def test_the_first_pod_of_a_group_may_have_affinity_to_itself():
    made = table(node("a"))
    affinity = required("podAffinity", term("kubernetes.io/hostname", ("app", "x")))
    assert place(made, pod("p", labels={"app": "x"}, **affinity)) == "a"
    assert why(made, pod("p", labels={"app": "y"}, **affinity)).endswith("1 node(s) didn't match pod affinity rules.")


def test_affinity_looks_only_into_its_namespaces():
    made = table(node("a"), pods=[pod("db", namespace="other", labels={"app": "db"}, node_name="a")])
    made.set_namespace("other", {"team": "x"})
    hostname = "kubernetes.io/hostname"
    assert "pod affinity rules" in why(made, pod("p", **required("podAffinity", term(hostname, ("app", "db")))))
    assert place(made, pod("p", **required("podAffinity", term(hostname, ("app", "db"), namespaces=["other"])))) == "a"
    by_label = term(hostname, ("app", "db"), namespaceSelector={"matchLabels": {"team": "x"}})
    assert place(made, pod("p", **required("podAffinity", by_label))) == "a"


def spread(**more):
    base = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"a": "b"}}}
    return {"topologySpreadConstraints": [{**base, **more}]}


def test_spread_keeps_the_skew():
    nodes = [node("a", labels={"zone": "1"}), node("b", labels={"zone": "2"})]
    made = table(*nodes, pods=[pod("r", labels={"a": "b"}, node_name="a")])
    assert {place(made, pod("p", labels={"a": "b"}, **spread())) for _ in range(20)} == {"b"}
    assert "missing required label" in why(made, pod("p", labels={"a": "b"}, **spread(topologyKey="rack")))
    assert "topology spread constraints." in why(
        made, pod("p", labels={"a": "b"}, nodeSelector={"zone": "1"}, **spread(nodeAffinityPolicy="Ignore"))
    )


def test_spread_counts_no_terminating_pods():
    going = pod("r", labels={"a": "b"}, node_name="a")
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    made = table(node("a", labels={"zone": "1"}), node("b", labels={"zone": "2"}), pods=[going])
    assert Profile().feasible(made, pod_info(pod("p", labels={"a": "b"}, **spread())))[made.index["a"]]


def test_too_few_domains_count_as_an_empty_one():
    made = table(node("a", labels={"zone": "1"}), pods=[pod("r", labels={"a": "b"}, node_name="a")])
    assert place(made, pod("p", labels={"a": "b"}, **spread())) == "a"
    assert isinstance(place(made, pod("p", labels={"a": "b"}, **spread(minDomains=2))), Unfit)


@pytest.mark.parametrize("seed", range(15))
def test_the_cached_verdict_equals_a_fresh_one(seed):
    """Property: placing many pods through the cache gives, at each step, the same mask and scores as no cache."""
    rng = random.Random(seed)
    made = table(*(node(f"n{i}", cpu=str(rng.randint(1, 8)), memory=f"{rng.randint(1, 8)}Gi") for i in range(30)))
    kinds = [pod("k", requests={"cpu": f"{rng.randint(1, 9)}00m", "memory": f"{rng.randint(1, 9)}00Mi"}) for _ in range(3)]
    cached, running = Profile(), []
    for step in range(150):
        info = pod_info({**rng.choice(kinds), "metadata": {"name": f"p{step}", "namespace": "default", "labels": {}}})
        plain = Profile()
        feasible = plain.feasible(made, info)
        score = plain.score(made, info, made.alive)
        got_feasible, got_score = cached._cached(made, info)
        assert np.array_equal(feasible, got_feasible)
        assert np.array_equal(score[feasible], got_score[feasible])
        chosen = cached.schedule(made, info, rng)
        if isinstance(chosen, str):
            made.add_pod(info, chosen)
            running.append((info, chosen))
        if running and rng.random() < 0.2:
            info, where = running.pop(rng.randrange(len(running)))
            made.remove_pod(info, where)
