"""DaemonSets: where pods belong, how they are pinned, how an update walks; node matching and taints."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.daemonset.plan import compute_status, plan_placement, plan_update, pods_by_node, should_run
from controllers.daemonset.template import make_daemon_pod, target_node
from controllers.node_fit import matches_node, tolerates, untolerated
from tests.unit.controllers.builders import NOW, names, node, pod, workload

NEW, OLD = "new-hash", "old-hash"


def daemon_set(**spec):
    made = workload("DaemonSet", "ds", updateStrategy={"type": "RollingUpdate", "rollingUpdate": {
        "maxSurge": spec.pop("surge", 0), "maxUnavailable": spec.pop("unavailable", 1)}}, **spec)  # fmt: skip
    made["metadata"]["annotations"] = {"deprecated.daemonset.template.generation": "3"}
    return made


def daemon(name, on, digest=NEW, **more):
    return pod(name, node=on, labels={"app": "a", "controller-revision-hash": digest}, **more)


# --- node matching ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("toleration", "taint", "expected"),
    [
        ({"operator": "Exists"}, {"key": "k", "effect": "NoExecute"}, True),
        ({"key": "k", "operator": "Exists"}, {"key": "k", "value": "v", "effect": "NoSchedule"}, True),
        ({"key": "k", "operator": "Exists", "effect": "NoExecute"}, {"key": "k", "effect": "NoSchedule"}, False),
        ({"key": "k", "value": "v"}, {"key": "k", "value": "v", "effect": "NoSchedule"}, True),
        ({"key": "k", "operator": "Equal", "value": "w"}, {"key": "k", "value": "v", "effect": "NoSchedule"}, False),
        ({"key": "k"}, {"key": "k", "effect": "NoSchedule"}, True),
        ({"key": "x", "operator": "Exists"}, {"key": "k", "effect": "NoSchedule"}, False),
        ({"key": "k", "operator": "Gt", "value": "5"}, {"key": "k", "value": "7", "effect": "NoSchedule"}, True),
        ({"key": "k", "operator": "Lt", "value": "5"}, {"key": "k", "value": "7", "effect": "NoSchedule"}, False),
        ({"key": "k", "operator": "Lt", "value": "x"}, {"key": "k", "value": "7", "effect": "NoSchedule"}, False),
    ],
)  # fmt: skip
def test_tolerations(toleration, taint, expected):
    assert tolerates(toleration, taint) is expected


def test_untolerated_looks_at_the_asked_effects_only():
    taints = [{"key": "a", "effect": "PreferNoSchedule"}, {"key": "b", "effect": "NoSchedule"}]
    assert untolerated(taints, [], ["NoExecute"]) is None
    assert untolerated(taints, [], ["NoSchedule"])["key"] == "b"
    assert untolerated(taints, [{"key": "b", "operator": "Exists"}], ["NoSchedule"]) is None


def affinity(*expressions, fields=()):
    term = {"matchExpressions": list(expressions), "matchFields": list(fields)}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    return {"affinity": {"nodeAffinity": required}}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, True), ({"nodeName": "n1"}, True), ({"nodeName": "n2"}, False), ({"nodeSelector": {"zone": "a"}}, True),
        ({"nodeSelector": {"zone": "b"}}, False),
        (affinity({"key": "zone", "operator": "In", "values": ["a", "b"]}), True),
        (affinity({"key": "zone", "operator": "NotIn", "values": ["a"]}), False),
        (affinity({"key": "gone", "operator": "NotIn", "values": ["a"]}), True),
        (affinity({"key": "zone", "operator": "Exists"}), True),
        (affinity({"key": "gone", "operator": "DoesNotExist"}), True),
        (affinity({"key": "cores", "operator": "Gt", "values": ["3"]}), True),
        (affinity({"key": "cores", "operator": "Lt", "values": ["3"]}), False),
        (affinity({"key": "zone", "operator": "Gt", "values": ["3"]}), False),
        (affinity(fields=[{"key": "metadata.name", "operator": "In", "values": ["n1"]}]), True),
        (affinity(fields=[{"key": "metadata.name", "operator": "In", "values": ["n9"]}]), False),
        (affinity(), False),
    ],
)  # fmt: skip
def test_node_affinity(spec, expected):
    assert matches_node(spec, node("n1", labels={"zone": "a", "cores": "4"})) is expected


# --- pods ---------------------------------------------------------------------------------------------------------


def test_a_daemon_pod_is_pinned_and_tolerant():
    made = daemon_set()
    made["spec"]["template"]["spec"]["affinity"] = {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": []}]},
            "preferredDuringSchedulingIgnoredDuringExecution": ["kept"],
        }
    }
    built = make_daemon_pod(made, "n7", NEW)
    assert target_node(built) == "n7"
    assert built["spec"]["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"] == ["kept"]
    assert [item["key"].partition("/")[2] for item in built["spec"]["tolerations"]] == [
        "not-ready", "unreachable", "disk-pressure", "memory-pressure", "pid-pressure", "unschedulable",
    ]  # fmt: skip
    assert built["metadata"]["labels"] == {
        "app": "a", "controller-revision-hash": NEW, "pod-template-generation": "3",
    }  # fmt: skip
    made["spec"]["template"]["spec"]["hostNetwork"] = True
    assert make_daemon_pod(made, "n7", NEW)["spec"]["tolerations"][-1]["key"].endswith("network-unavailable")


def test_where_a_daemon_belongs():
    made = daemon_set()
    made["spec"]["template"]["spec"]["nodeSelector"] = {"role": "edge"}
    edge = {"role": "edge"}
    assert should_run(made, node("n", labels=edge)) == (True, True)
    assert should_run(made, node("n")) == (False, False)
    no_schedule = node("n", labels=edge, taints=[{"key": "x", "effect": "NoSchedule"}])
    assert should_run(made, no_schedule) == (False, True)
    assert should_run(made, node("n", labels=edge, taints=[{"key": "x", "effect": "NoExecute"}])) == (False, False)
    cordoned = node("n", labels=edge, taints=[{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}])
    assert should_run(made, cordoned) == (True, True)


def test_placement():
    made = daemon_set()
    made["spec"]["template"]["spec"]["nodeSelector"] = {"role": "edge"}
    nodes = [node(name, labels={"role": "edge"}) for name in ("n1", "n2", "n3")] + [node("n4")]
    failed = daemon("failed", "n3", phase="Failed")
    pods = [daemon("a", "n2"), daemon("b", "n2"), failed, daemon("stray", "n4"), daemon("leaving", "n4", deleting=True)]
    pods[1]["metadata"]["creationTimestamp"] = "2026-06-01T11:59:59Z"
    plan = plan_placement(made, nodes, pods_by_node(pods), NEW)
    assert plan.create_on == ["n1"]
    assert sorted(names(plan.delete)) == ["b", "failed", "stray"]
    assert plan.failed == [failed]


def test_unbound_pods_of_a_lost_node_go():
    lost = make_daemon_pod(daemon_set(), "gone", NEW)
    lost["metadata"] |= {"name": "lost", "uid": "u"}
    bound = daemon("bound", "gone")
    plan = plan_placement(daemon_set(), [], pods_by_node([lost, bound]), NEW)
    assert names(plan.delete) == ["lost"]


def test_update_replaces_the_unavailable_at_once_and_the_others_one_by_one():
    nodes = [node(f"n{number}") for number in range(4)]
    pods = [daemon("sick", "n0", OLD, ready=False), daemon("a", "n1", OLD), daemon("b", "n2", OLD), daemon("c", "n3")]
    plan = plan_update(daemon_set(unavailable=2), nodes, pods_by_node(pods), NEW, NOW)
    assert names(plan.delete) == ["sick", "a"]
    plan = plan_update(daemon_set(unavailable=1), nodes, pods_by_node(pods), NEW, NOW)
    assert names(plan.delete) == ["sick"]


def test_on_delete_updates_nothing():
    made = daemon_set()
    made["spec"]["updateStrategy"] = {"type": "OnDelete"}
    assert plan_update(made, [node("n1")], pods_by_node([daemon("a", "n1", OLD)]), NEW, NOW).delete == []


def test_surge_brings_the_new_one_first():
    nodes = [node(f"n{number}") for number in range(3)]
    made = daemon_set(surge=1, unavailable=0)
    pods = [daemon(f"old{number}", f"n{number}", OLD) for number in range(3)]
    assert plan_update(made, nodes, pods_by_node(pods), NEW, NOW).create_on == ["n0"]
    pods.append(daemon("new0", "n0", ready=False))
    plan = plan_update(made, nodes, pods_by_node(pods), NEW, NOW)
    assert (plan.create_on, plan.delete) == ([], [])
    pods[-1] = daemon("new0", "n0")
    plan = plan_update(made, nodes, pods_by_node(pods), NEW, NOW)
    assert (plan.create_on, names(plan.delete)) == (["n1"], ["old0"])
    assert plan_placement(made, nodes, pods_by_node(pods), NEW).delete == []


@settings(max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=8), st.integers(1, 4))
def test_an_update_keeps_enough_available(shapes, unavailable):
    """``shapes``: (is new, is ready) of the pod on each node."""
    nodes = [node(f"n{number}") for number in range(len(shapes))]
    pods = [daemon(f"p{number}", f"n{number}", NEW if new else OLD, ready=ready)
            for number, (new, ready) in enumerate(shapes)]  # fmt: skip
    plan = plan_update(daemon_set(unavailable=unavailable), nodes, pods_by_node(pods), NEW, NOW)
    taken = [item for item in plan.delete if item["status"]["conditions"][0]["status"] == "True"]
    already_down = sum(1 for _, ready in shapes if not ready)
    assert len(taken) <= max(0, unavailable - already_down)
    assert all(item["metadata"]["labels"]["controller-revision-hash"] == OLD for item in plan.delete)
    sick = {f"p{number}" for number, (new, ready) in enumerate(shapes) if not new and not ready}
    assert sick <= set(names(plan.delete))


def test_status():
    made = daemon_set()
    made["spec"]["template"]["spec"]["nodeSelector"] = {"role": "edge"}
    nodes = [node(name, labels={"role": "edge"}) for name in ("n1", "n2", "n3")] + [node("n4")]
    pods = [daemon("a", "n1"), daemon("b", "n2", OLD, ready=False), daemon("c", "n4")]
    assert compute_status(made, nodes, pods_by_node(pods), NEW, NOW) == {
        "desiredNumberScheduled": 3, "currentNumberScheduled": 2, "numberMisscheduled": 1, "numberReady": 1,
        "updatedNumberScheduled": 1, "numberAvailable": 1, "numberUnavailable": 2, "observedGeneration": 1,
    }  # fmt: skip
