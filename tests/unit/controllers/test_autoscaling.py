"""Horizontal autoscaling: the arithmetic, the cautions, stabilization and rates, the status."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.autoscaling.behavior import Memory, allow
from controllers.autoscaling.plan import describe, metric_status, pod_usages, target_of
from controllers.autoscaling.replicas import NoMetrics, PodUsage, Proposal, Target, is_settled, propose
from machinery.meta.objects import format_time
from tests.unit.controllers.builders import NOW, ago, pod

HALF = Target(utilization=50)


def usages(*values, request=1000, ready=True):
    return [PodUsage(value, request, ready) for value in values]


@pytest.mark.parametrize(
    ("pods", "current", "target", "replicas"),
    [
        (usages(1000, 1000), 2, HALF, 4), (usages(250, 250, 250, 250), 4, HALF, 2), (usages(520, 540), 2, HALF, 2),
        (usages(600), 1, HALF, 2), (usages(300, 300), 2, Target(average=100), 6),
        (usages(95, 105), 2, Target(average=100), 2), (usages(0, 0), 2, HALF, 0),
    ],
)  # fmt: skip
def test_ratio_times_pods(pods, current, target, replicas):
    assert propose(pods, current, target).replicas == replicas


def test_pods_without_metrics_are_assumed_harmless():
    """Shrinking: they use everything they asked for. Growing: nothing."""
    missing = PodUsage(None, 1000, True)
    assert propose([*usages(100, 100), missing], 3, HALF).replicas == 3
    assert propose([*usages(100, 100, 100, 100, 100, 100), missing], 7, HALF).replicas == 4
    assert propose([*usages(1000, 1000), missing], 3, HALF).replicas == 4


def test_pods_that_start_count_as_idle_when_growing_and_not_at_all_otherwise():
    starting = PodUsage(900, 1000, False)
    assert propose([*usages(1000, 1000), starting, starting], 4, HALF).replicas == 4
    assert propose([*usages(1000, 1000), starting], 3, HALF).replicas == 4
    assert propose([*usages(250, 250), starting], 3, HALF).replicas == 1


def test_nothing_measured_is_no_answer():
    with pytest.raises(NoMetrics, match="did not receive metrics"):
        propose([PodUsage(None, 1000, True)], 1, HALF)


@given(st.lists(st.tuples(st.integers(0, 3000), st.sampled_from(["measured", "missing", "starting"])), min_size=1,
                max_size=8), st.integers(10, 150))  # fmt: skip
def test_cautions_never_turn_the_direction_around(shapes, percent):
    pods = [PodUsage(None if kind == "missing" else used, 1000, kind != "starting") for used, kind in shapes]
    measured = [item.usage for item in pods if item.usage is not None and item.ready]
    current = len(pods)
    if not measured:
        return
    result = propose(pods, current, Target(utilization=percent)).replicas
    ratio = (sum(measured) * 100 // (1000 * len(measured))) / percent
    if len(measured) < current:
        assert result >= current if ratio > 1.1 else result <= current


def test_cpu_of_a_starting_pod_is_not_its_normal_cpu():
    made = pod()
    made["status"]["startTime"] = ago(60)
    made["status"]["conditions"][0]["lastTransitionTime"] = ago(50)
    assert is_settled(made, "cpu", NOW, 30, NOW)
    assert not is_settled(made, "cpu", NOW - timedelta(seconds=30), 30, NOW)
    assert is_settled(made, "memory", None, 30, NOW)
    assert not is_settled(pod(phase="Pending"), "memory", None, 30, NOW)
    unready = pod(ready=False, ready_for=899)
    unready["status"]["startTime"] = ago(900)
    assert not is_settled(unready, "cpu", NOW, 30, NOW)
    unready["status"]["conditions"][0]["lastTransitionTime"] = ago(100)
    assert is_settled(unready, "cpu", NOW, 30, NOW)


# --- bounds and rates ---------------------------------------------------------------------------------------------


def hpa(minimum=1, maximum=100, **behavior):
    return {"spec": {"minReplicas": minimum, "maxReplicas": maximum, "behavior": behavior}}


def test_shrinking_waits_for_the_window():
    memory = Memory([(NOW - timedelta(seconds=200), 8), (NOW, 2)])
    allowed = allow(hpa(), 10, 2, memory, NOW)
    assert (allowed.replicas, allowed.stabilized) == (8, True)
    later = NOW + timedelta(seconds=200)
    assert allow(hpa(), 10, 2, memory, later).replicas == 2


def test_growing_is_at_most_double_or_four():
    assert allow(hpa(), 10, 50, Memory(), NOW).replicas == 20
    assert allow(hpa(), 1, 50, Memory(), NOW) .limited == "ScaleUpLimit"
    assert allow(hpa(), 1, 50, Memory(), NOW).replicas == 5
    recent = Memory(changes=[(NOW - timedelta(seconds=5), 10)])
    assert allow(hpa(), 20, 50, recent, NOW).replicas == 20
    assert allow(hpa(scaleUp={"selectPolicy": "Disabled"}), 10, 50, Memory(), NOW).replicas == 10


def test_bounds_have_reasons():
    assert allow(hpa(maximum=12), 10, 50, Memory(), NOW).limited == "TooManyReplicas"
    quick = {"stabilizationWindowSeconds": 0}
    low = allow(hpa(minimum=3, scaleDown=quick), 10, 0, Memory(), NOW)
    assert (low.replicas, low.limited) == (3, "TooFewReplicas")
    slow = allow(hpa(scaleDown={**quick, "policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]}), 10, 1,
                 Memory(), NOW)  # fmt: skip
    assert (slow.replicas, slow.limited) == (8, "ScaleDownLimit")
    assert allow(hpa(), 10, 10, Memory(), NOW).limited == ""


@given(st.integers(1, 60), st.integers(0, 200), st.integers(1, 20), st.integers(20, 60))
def test_the_result_is_within_bounds_and_between(current, wished, minimum, maximum):
    current = max(minimum, min(maximum, current))
    result = allow(hpa(minimum, maximum), current, wished, Memory([(NOW, wished)]), NOW).replicas
    assert minimum <= result <= maximum
    assert min(current, wished, maximum) <= result or result == minimum
    assert result <= max(current, wished, minimum)


# --- metrics ------------------------------------------------------------------------------------------------------


def measured(name, cpu):
    return {"metadata": {"name": name}, "timestamp": format_time(NOW), "window": "15s",
            "containers": [{"name": "c", "usage": {"cpu": cpu}}]}  # fmt: skip


def test_usage_by_pod_and_container():
    made = pod("a", ready_for=600)
    made["status"]["startTime"] = ago(600)
    made["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "500m"}}
    (usage,) = pod_usages([made, pod("gone", deleting=True)], {"a": measured("a", "250m")}, "cpu", None, NOW)
    assert usage == PodUsage(250, 500, True)
    assert pod_usages([made], {}, "cpu", None, NOW)[0].usage is None
    assert pod_usages([made], {"a": measured("a", "1")}, "cpu", "other", NOW)[0].usage is None
    with pytest.raises(LookupError, match="missing request for cpu in container c of Pod p"):
        pod_usages([pod()], {}, "cpu", None, NOW)


def test_what_the_status_shows():
    source = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}
    metric = {"type": "Resource", "resource": source}
    assert target_of(source) == HALF
    assert target_of({"target": {"type": "AverageValue", "averageValue": "200m"}}) == Target(average=200)
    proposal = Proposal(3, 250, 50)
    assert metric_status(metric, proposal) == {
        "type": "Resource",
        "resource": {"name": "cpu", "current": {"averageValue": "250m", "averageUtilization": 50}},
    }
    assert describe(metric, proposal) == "cpu resource utilization (percentage of request)"
    assert describe(metric, Proposal(3, 250)) == "cpu resource"
