"""Nodes: silence, taints, zones and rates, evictions, address ranges, the pod collector."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.nodeipam.plan import CidrAllocator, RangeExhausted
from controllers.nodelifecycle import plan as pl
from controllers.podgc.plan import ending_out_of_service, orphaned, surplus_finished, unscheduled_ending
from controllers.tainteviction.plan import eviction_at
from tests.unit.controllers.builders import NOW, ago, names, node, pod


def keys(taints):
    return sorted((taint["key"].rpartition("/")[2], taint["effect"]) for taint in taints)


def test_a_silent_node_becomes_unknown_once():
    made = node("n")
    conditions = pl.silent_conditions(made, NOW)
    by_type = {item["type"]: item for item in conditions}
    assert by_type["Ready"]["status"] == "Unknown"
    assert by_type["Ready"]["reason"] == "NodeStatusUnknown"
    assert by_type["Ready"]["message"] == "Kubelet stopped posting node status."
    assert by_type["DiskPressure"]["reason"] == "NodeStatusNeverUpdated"
    made["status"]["conditions"] = conditions
    assert pl.silent_conditions(made, NOW + timedelta(seconds=60)) is None


@pytest.mark.parametrize(
    ("ready", "expected"),
    [
        ("True", []), (None, []), ("False", [("not-ready", "NoExecute"), ("not-ready", "NoSchedule")]),
        ("Unknown", [("unreachable", "NoExecute"), ("unreachable", "NoSchedule")]),
    ],
)  # fmt: skip
def test_taints_follow_readiness(ready, expected):
    made = node("n", ready=ready)
    assert keys(pl.plan_taints(made, NOW, may_evict=True) or []) == expected


def test_the_admission_taint_goes_and_foreign_taints_stay():
    foreign = {"key": "mine", "effect": "NoExecute"}
    made = node("n", taints=[{"key": pl.NOT_READY, "effect": "NoSchedule"}, foreign])
    assert pl.plan_taints(made, NOW, may_evict=False) == [foreign]
    made["spec"]["taints"] = [foreign]
    assert pl.plan_taints(made, NOW, may_evict=False) is None


def test_pressure_and_cordon():
    made = node("n", unschedulable=True)
    made["status"]["conditions"].append({"type": "MemoryPressure", "status": "True"})
    assert keys(pl.plan_taints(made, NOW, may_evict=False)) == [
        ("memory-pressure", "NoSchedule"), ("unschedulable", "NoSchedule"),
    ]  # fmt: skip


def test_the_first_no_execute_taint_waits_for_the_rate_but_a_change_does_not():
    made = node("n", ready="False")
    assert keys(pl.plan_taints(made, NOW, may_evict=False)) == [("not-ready", "NoSchedule")]
    assert pl.needs_first_no_execute(made)
    made["spec"]["taints"] = [{"key": pl.UNREACHABLE, "effect": "NoExecute"}]
    assert not pl.needs_first_no_execute(made)
    assert ("not-ready", "NoExecute") in keys(pl.plan_taints(made, NOW, may_evict=False))


@given(st.sampled_from(["True", "False", "Unknown", None]), st.booleans(), st.booleans())
def test_taints_reach_a_fixed_point(ready, cordoned, may_evict):
    made = node("n", ready=ready, **({"unschedulable": True} if cordoned else {}))
    wanted = pl.plan_taints(made, NOW, may_evict=may_evict)
    if wanted is not None:
        made["spec"]["taints"] = wanted
    assert pl.plan_taints(made, NOW, may_evict=may_evict) is None


@pytest.mark.parametrize(
    ("ready", "down", "state"),
    [(3, 0, pl.NORMAL), (0, 1, pl.FULL), (1, 2, pl.NORMAL), (2, 3, pl.PARTIAL), (4, 3, pl.NORMAL), (0, 0, pl.NORMAL)],
)  # fmt: skip
def test_zone_states(ready, down, state):
    nodes = [node(f"r{n}") for n in range(ready)] + [node(f"d{n}", ready="Unknown") for n in range(down)]
    assert pl.zone_state(nodes, 0.55) == state


def test_eviction_rates():
    def rate(state, size, *, all_down=False):
        return pl.eviction_rate(state, size, all_down=all_down, rate=0.1, secondary_rate=0.01, large_size=50)

    assert rate(pl.NORMAL, 5) == rate(pl.FULL, 5) == 0.1
    assert rate(pl.PARTIAL, 50) == 0
    assert rate(pl.PARTIAL, 51) == 0.01
    assert rate(pl.NORMAL, 5, all_down=True) == 0


def test_the_bucket_gives_one_at_once_and_then_the_rate():
    bucket = pl.Bucket(at=0)
    assert bucket.try_take(0, 0.1) == 0
    assert bucket.try_take(0, 0.1) == pytest.approx(10)
    assert bucket.try_take(10, 0.1) == 0
    assert bucket.try_take(10_000, 0) == float("inf")


def test_zones_come_from_labels():
    labels = {"topology.kubernetes.io/zone": "z", "topology.kubernetes.io/region": "r"}
    assert pl.zone_of(node("n", labels=labels)) == "r:z"
    assert pl.zone_of(node("n")) == ":"


# --- evictions ----------------------------------------------------------------------------------------------------

TAINT = {"key": pl.NOT_READY, "effect": "NoExecute", "timeAdded": ago(60)}


def tolerating(seconds=None, **more):
    made = pod("p", creationTimestamp=ago(900))
    toleration = {"key": pl.NOT_READY, "operator": "Exists", "effect": "NoExecute", **more}
    made["spec"]["tolerations"] = [toleration | ({} if seconds is None else {"tolerationSeconds": seconds})]
    return made


def test_when_a_pod_must_go():
    assert eviction_at(pod(), [], NOW) is None
    assert eviction_at(pod(), [TAINT], NOW) == NOW
    assert eviction_at(tolerating(), [TAINT], NOW) is None
    assert eviction_at(tolerating(300), [TAINT], NOW) == NOW + timedelta(seconds=240)
    assert eviction_at(tolerating(10), [TAINT], NOW) == NOW - timedelta(seconds=50)
    assert eviction_at(tolerating(0), [TAINT], NOW) <= NOW
    assert eviction_at(tolerating(300), [TAINT, {"key": "x", "effect": "NoExecute"}], NOW) == NOW


def test_a_pod_bound_after_the_taint_gets_its_whole_time():
    made = tolerating(30)
    made["status"]["conditions"] = [{"type": "PodScheduled", "status": "True", "lastTransitionTime": ago(5)}]
    assert eviction_at(made, [TAINT], NOW) == NOW + timedelta(seconds=25)


# --- address ranges -----------------------------------------------------------------------------------------------


def test_ranges_are_blocks_of_the_cluster_range():
    allocator = CidrAllocator("10.244.0.0/16", 24)
    allocator.occupy("10.244.1.0/24")
    assert [allocator.allocate() for _ in range(2)] == ["10.244.0.0/24", "10.244.2.0/24"]
    allocator.occupy("192.168.0.0/24")
    allocator.occupy("10.244.4.0/22")
    assert [allocator.allocate() for _ in range(2)] == ["10.244.3.0/24", "10.244.8.0/24"]


def test_a_released_range_rests_and_returns():
    allocator = CidrAllocator("10.0.0.0/22", 24)
    given_out = [allocator.allocate() for _ in range(3)]
    allocator.release(given_out[0])
    assert allocator.allocate() == "10.0.3.0/24"
    assert allocator.allocate() == given_out[0]
    with pytest.raises(RangeExhausted):
        allocator.allocate()


def test_ipv6_and_nonsense():
    assert CidrAllocator("fd00::/56", 64).allocate() == "fd00::/64"
    with pytest.raises(ValueError, match="larger than"):
        CidrAllocator("10.0.0.0/24", 16)


@given(st.lists(st.booleans(), max_size=60))
def test_ranges_never_overlap(moves):
    allocator, held = CidrAllocator("10.0.0.0/20", 24), []
    for take in moves:
        if take and len(held) < 16:
            made = allocator.allocate()
            assert made not in held
            held.append(made)
        elif held:
            allocator.release(held.pop(0))


# --- the pod collector --------------------------------------------------------------------------------------------


def test_finished_pods_beyond_the_threshold():
    pods = [pod(f"f{n}", phase="Failed", creationTimestamp=ago(100 - n)) for n in range(4)] + [pod("runs")]
    pods[3]["status"]["reason"] = "Evicted"
    assert names(surplus_finished(pods, 2)) == ["f3", "f0"]
    assert surplus_finished(pods, 4) == []
    assert surplus_finished(pods, 0) == []


def test_pods_that_nobody_ends():
    ending, bound = pod("ending", node="", deleting=True), pod("bound", deleting=True)
    assert names(unscheduled_ending([ending, bound, pod("waits", node="")])) == ["ending"]
    assert names(orphaned([pod("a", node="n1"), pod("b", node="gone"), pod("c", node="")], {"n1"})) == ["b"]
    out = node("n1", ready="Unknown", taints=[{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}])
    assert names(ending_out_of_service([bound, pod("runs")], {"n1": out})) == ["bound"]
    assert ending_out_of_service([bound], {"n1": node("n1", ready="Unknown")}) == []
