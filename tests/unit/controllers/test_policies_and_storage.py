"""Disruption budgets, quotas, volumes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from controllers.disruption.plan import compute_status, expected_and_desired, failed_status, needs_scale
from controllers.resourcequota import plan as quota_plan
from controllers.resourcequota.usage import in_scope, matches_scope, pod_total, pod_usage, service_usage
from controllers.volumes import plan as volumes
from machinery.meta.objects import format_time
from tests.unit.controllers.builders import NOW, ago, meta, pod


def budget(**spec):
    return {"metadata": meta("b"), "spec": {"selector": {"matchLabels": {"app": "a"}}, **spec}, "status": {}}


# --- budgets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "pods", "scale", "expected"),
    [
        ({"minAvailable": 2}, 5, 0, (5, 2)), ({"minAvailable": "50%"}, 1, 5, (5, 3)),
        ({"maxUnavailable": 1}, 1, 5, (5, 4)), ({"maxUnavailable": "30%"}, 1, 5, (5, 3)),
        ({"maxUnavailable": 9}, 1, 5, (5, 0)), ({}, 4, 0, (4, 1)),
    ],
)  # fmt: skip
def test_expected_and_desired(spec, pods, scale, expected):
    assert expected_and_desired(budget(**spec), [pod(f"p{n}") for n in range(pods)], scale) == expected


def test_who_needs_the_owners_size():
    assert needs_scale(budget(maxUnavailable=1))
    assert needs_scale(budget(minAvailable="50%"))
    assert not needs_scale(budget(minAvailable=1))


def test_budget_status():
    made = budget(minAvailable=1)
    status, _ = compute_status(made, [], 0, NOW)
    assert (status["disruptionsAllowed"], status["conditions"][0]["reason"]) == (0, "InsufficientPods")
    made["status"] = status
    status, _ = compute_status(made, [pod("a"), pod("b"), pod("sick", ready=False)], 0, NOW)
    assert (status["disruptionsAllowed"], status["currentHealthy"], status["expectedPods"]) == (1, 2, 3)
    assert status["conditions"][0]["status"] == "True"


def test_granted_evictions_count_until_they_are_seen_or_time_out():
    made = budget(minAvailable=1)
    made["status"]["disruptedPods"] = {
        "a": format_time(NOW - timedelta(seconds=30)), "b": format_time(NOW - timedelta(seconds=130)), "gone": ago(1),
        "ending": ago(1),
    }  # fmt: skip
    status, recheck = compute_status(made, [pod("a"), pod("b"), pod("ending", deleting=True)], 0, NOW)
    assert list(status["disruptedPods"]) == ["a"]
    assert status["currentHealthy"] == 1
    assert recheck == pytest.approx(90)


def test_an_unknown_size_allows_nothing():
    status = failed_status(budget(maxUnavailable=1), "no size", NOW)
    assert status["disruptionsAllowed"] == 0
    assert (status["conditions"][0]["reason"], status["conditions"][0]["message"]) == ("SyncFailed", "no size")


# --- quotas -------------------------------------------------------------------------------------------------------


def container(name="c", **resources):
    return {"name": name, "resources": {"requests": resources}}


def sized_pod(*containers, init=(), overhead=None):
    made = pod()
    made["spec"] |= {"containers": list(containers), "initContainers": list(init)}
    if overhead:
        made["spec"]["overhead"] = overhead
    return made


@pytest.mark.parametrize(
    ("made", "total"),
    [
        (sized_pod(container(cpu="100m"), container(cpu="1")), "1100m"),
        (sized_pod(container(cpu="100m"), init=[container(cpu="500m"), container(cpu="300m")]), "500m"),
        (sized_pod(container(cpu="100m"), init=[{**container(cpu="200m"), "restartPolicy": "Always"},
                                                container(cpu="300m")]), "500m"),
        (sized_pod(container(cpu="1"), init=[{**container(cpu="200m"), "restartPolicy": "Always"}],
                   overhead={"cpu": "10m"}), "1210m"),
    ],
)  # fmt: skip
def test_what_a_pod_requests(made, total):
    assert str(pod_total(made, "requests")["cpu"]) == total


def test_pods_under_a_quota():
    hard = {"pods": "5", "requests.cpu": "1", "cpu": "1", "limits.memory": "1Gi", "count/pods": "9"}
    quota = {"spec": {"hard": hard}}
    made = sized_pod(container(cpu="100m", memory="1Mi"))
    made["spec"]["containers"][0]["resources"]["limits"] = {"memory": "64Mi"}
    finished = pod(phase="Succeeded")
    assert quota_plan.compute_status(quota, [made, made, finished], [], [], {})["used"] == {
        "pods": "2", "requests.cpu": "200m", "cpu": "200m", "limits.memory": "128Mi", "count/pods": "3",
    }  # fmt: skip
    assert set(pod_usage(finished)) == {"count/pods"}


def test_services_claims_and_counts_under_a_quota():
    hard = {"services.nodeports": "9", "services": "9", "requests.storage": "1Ti", "persistentvolumeclaims": "3",
            "gold.storageclass.storage.k8s.io/requests.storage": "1Ti", "count/secrets": "2", "configmaps": "3",
            "count/deployments.apps": "1"}  # fmt: skip
    node_port = {"spec": {"type": "NodePort", "ports": [{}, {}]}}
    claim = {"spec": {"storageClassName": "gold", "resources": {"requests": {"storage": "2Gi"}}}}
    counts = {"secrets": 4, "configmaps": 1}
    status = quota_plan.compute_status({"spec": {"hard": hard}}, [], [node_port], [claim], counts)
    assert status["used"] == {
        "services.nodeports": "2", "services": "1", "requests.storage": "2Gi", "persistentvolumeclaims": "1",
        "gold.storageclass.storage.k8s.io/requests.storage": "2Gi", "count/secrets": "4", "configmaps": "1",
        "count/deployments.apps": "0",
    }  # fmt: skip
    assert status["hard"] == hard
    balancer = {"spec": {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False, "ports": [{}]}}
    assert {name: str(amount) for name, amount in service_usage(balancer).items()} == {
        "services": "1", "services.loadbalancers": "1", "services.nodeports": "0",
    }  # fmt: skip


def test_giving_back_is_told_from_taking():
    assert quota_plan.lowers_usage({"used": {"pods": "3", "cpu": "1"}}, {"used": {"pods": "2", "cpu": "2"}})
    assert not quota_plan.lowers_usage({"used": {"cpu": "1000m"}}, {"used": {"cpu": "1"}})
    assert not quota_plan.lowers_usage({}, {"used": {"cpu": "1"}})


def test_quota_scopes():
    best_effort, limited = pod(), sized_pod(container(cpu="1"))
    limited["spec"] |= {"activeDeadlineSeconds": 5, "priorityClassName": "high"}
    assert matches_scope(best_effort, "BestEffort")
    assert not matches_scope(limited, "BestEffort")
    assert matches_scope(limited, "Terminating")
    assert matches_scope(best_effort, "NotTerminating")
    assert matches_scope(limited, "PriorityClass", "In", ["high"])
    assert not matches_scope(best_effort, "PriorityClass", "Exists")
    selector = {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]}
    assert in_scope({"spec": {"scopes": ["Terminating"], "scopeSelector": selector}}, limited)
    assert not in_scope({"spec": {"scopes": ["BestEffort"]}}, limited)
    crossing = pod()
    crossing["spec"]["affinity"] = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"namespaceSelector": {}}]}}  # fmt: skip
    assert matches_scope(crossing, "CrossNamespacePodAffinity")
    assert not matches_scope(best_effort, "CrossNamespacePodAffinity")


# --- volumes ------------------------------------------------------------------------------------------------------


def claim(name="c", size="1Gi", **spec):
    return {"metadata": meta(name), "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "",
            "resources": {"requests": {"storage": size}}, **spec}, "status": {}}  # fmt: skip


def volume(name="v", size="1Gi", phase="Available", **spec):
    base = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": size}}
    return {"metadata": meta(name, ""), "spec": {**base, **spec}, "status": {"phase": phase}}


def test_the_smallest_volume_that_fits():
    found = volumes.find_volume(claim(size="2Gi"), [volume("a", "1Gi"), volume("b", "5Gi"), volume("c", "3Gi")])
    assert found["metadata"]["name"] == "c"


@pytest.mark.parametrize(
    "made",
    [
        volume(size="500Mi"), volume(accessModes=["ReadOnlyMany"]), volume(storageClassName="fast"),
        volume(volumeMode="Block"), volume(phase="Released"), volume(claimRef={"name": "other", "namespace": "ns"}),
    ],
)  # fmt: skip
def test_volumes_that_do_not_fit(made):
    assert volumes.find_volume(claim(), [made]) is None


def test_a_reserved_volume_comes_first_and_a_selector_is_kept():
    reserved = volume("z", "9Gi", claimRef={"name": "c", "namespace": "ns"})
    assert volumes.find_volume(claim(), [volume("a"), reserved]) is reserved
    assert volumes.find_volume(claim(selector={"matchLabels": {"x": "y"}}), [volume("a")]) is None


def test_binding_writes_both_sides_once():
    made, found = claim(), volume()
    bound = volumes.bound_volume(found, made)
    assert bound["spec"]["claimRef"]["uid"] == made["metadata"]["uid"]
    assert bound["metadata"]["annotations"] == {"pv.kubernetes.io/bound-by-controller": "yes"}
    assert volumes.bound_volume(bound, made) is None
    other = volumes.bound_claim(made, bound)
    assert other["spec"]["volumeName"] == "v"
    assert set(other["metadata"]["annotations"]) == {
        "pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller",
    }  # fmt: skip
    assert volumes.bound_claim(other, bound) is None
    assert volumes.bound_claim_status(other, bound) == {
        "phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
    }  # fmt: skip


def test_volume_phases():
    made = claim()
    bound = volumes.bound_volume(volume(), made)
    assert volumes.volume_phase(volume(), None) == "Available"
    assert volumes.volume_phase(volume(claimRef={"name": "c", "namespace": "ns"}), None) == "Available"
    assert volumes.volume_phase(bound, made) == "Bound"
    assert volumes.volume_phase(bound, None) == "Released"
    assert volumes.volume_phase(bound, claim()) == "Released"


def test_who_uses_a_claim():
    user = pod("u")
    user["spec"]["volumes"] = [{"name": "d", "persistentVolumeClaim": {"claimName": "c"}}]
    assert volumes.users_of(claim(), [user, pod("other")]) == [user]
    assert volumes.users_of(claim(), [{**user, "status": {"phase": "Succeeded"}}]) == []
    owner = pod("u")
    owner["spec"]["volumes"] = [{"name": "d", "ephemeral": {}}]
    assert volumes.users_of(claim("u-d"), [owner]) == [owner]
