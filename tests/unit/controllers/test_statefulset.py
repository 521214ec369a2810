"""StatefulSets: names, order, partitions, retention; and whole lives against a model of the cluster."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.statefulset.identity import make_claims, make_stateful_pod, ordinal_of
from controllers.statefulset.plan import Revisions, claim_owner, compute_status, plan_stateful
from tests.unit.controllers.builders import NOW, ago, meta, names, pod, template, workload

REVISIONS = Revisions("db-old", "db-new")


def stateful_set(replicas=3, *, policy="OrderedReady", partition=0, start=None, **spec):
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}
    made = workload("StatefulSet", "db", replicas=replicas, serviceName="db", podManagementPolicy=policy,
                    updateStrategy=strategy, **spec)  # fmt: skip
    if start is not None:
        made["spec"]["ordinals"] = {"start": start}
    return made


def member(ordinal, revision="db-new", **more):
    return pod(f"db-{ordinal}", labels={"app": "a", "controller-revision-hash": revision}, **more)


def created(plan):
    return [ordinal for ordinal, _ in plan.create]


def step(made, pods, revisions=REVISIONS):
    return plan_stateful(made, pods, revisions, NOW)


def test_identity():
    made = stateful_set()
    made["spec"]["volumeClaimTemplates"] = [{"metadata": {"name": "d"}, "spec": {"x": 1}}]
    made["spec"]["template"]["spec"]["volumes"] = [{"name": "d", "emptyDir": {}}, {"name": "e", "emptyDir": {}}]
    built = make_stateful_pod(made, made["spec"]["template"], "db-new", 2)
    assert built["metadata"]["name"] == "db-2"
    assert built["metadata"]["labels"] == {
        "app": "a", "controller-revision-hash": "db-new", "statefulset.kubernetes.io/pod-name": "db-2",
        "apps.kubernetes.io/pod-index": "2",
    }  # fmt: skip
    assert (built["spec"]["hostname"], built["spec"]["subdomain"]) == ("db-2", "db")
    assert built["spec"]["volumes"] == [
        {"name": "d", "persistentVolumeClaim": {"claimName": "d-db-2"}}, {"name": "e", "emptyDir": {}},
    ]  # fmt: skip
    (claim,) = make_claims(made, 2)
    assert (claim["metadata"]["name"], claim["metadata"]["labels"]) == ("d-db-2", {"app": "a"})
    assert ordinal_of(made, built) == 2
    assert ordinal_of(made, pod("other-2")) is None
    assert ordinal_of(made, pod("db-x")) is None


def test_in_order_one_at_a_time():
    made = stateful_set()
    assert created(step(made, [])) == [0]
    assert created(step(made, [member(0, ready=False)])) == []
    assert created(step(made, [member(0)])) == [1]
    assert created(step(made, [member(0), member(1), member(2)])) == []
    assert created(step(stateful_set(2, start=5), [])) == [5]


def test_parallel_does_all_at_once():
    made = stateful_set(policy="Parallel")
    assert created(step(made, [])) == [0, 1, 2]
    assert sorted(names(step(made, [member(n) for n in range(5)]).delete)) == ["db-3", "db-4"]


def test_min_ready_seconds_hold_up_the_next():
    made = stateful_set(minReadySeconds=30)
    assert created(step(made, [member(0, ready_for=10)])) == []
    assert created(step(made, [member(0, ready_for=40)])) == [1]


def test_an_ended_pod_is_deleted_and_not_replaced_before_it_is_gone():
    made = stateful_set()
    assert names(step(made, [member(0, phase="Failed")]).delete) == ["db-0"]
    assert step(made, [member(0, phase="Failed", deleting=True)]).delete == []
    plan = step(made, [member(0), member(1, deleting=True), member(2)])
    assert (plan.create, plan.delete) == ([], [])


def test_scaling_down_goes_from_the_end_and_stops_at_the_unhealthy():
    made = stateful_set(1)
    assert names(step(made, [member(n) for n in range(3)]).delete) == ["db-2"]
    assert step(made, [member(0), member(1), member(2, deleting=True)]).delete == []
    assert step(made, [member(0, ready=False), member(1), member(2)]).delete == []
    assert step(made, [member(0), member(1, ready=False), member(2)]).delete[0]["metadata"]["name"] == "db-2"
    assert step(made, [member(0), member(1, ready=False), member(2, ready=False)]).delete == []


def test_a_rolling_update_goes_down_to_the_partition():
    pods = [member(0, "db-old"), member(1, "db-old"), member(2, "db-old")]
    assert names(step(stateful_set(), pods).delete) == ["db-2"]
    pods[2] = member(2, "db-new", ready=False)
    assert step(stateful_set(), pods).delete == []
    pods[2] = member(2, "db-new")
    assert names(step(stateful_set(), pods).delete) == ["db-1"]
    assert step(stateful_set(partition=2), pods).delete == []
    made = stateful_set()
    made["spec"]["updateStrategy"] = {"type": "OnDelete"}
    assert step(made, pods).delete == []


def test_below_the_partition_new_pods_are_old():
    made = stateful_set(partition=1)
    assert step(made, []).create == [(0, "current")]
    assert step(made, [member(0)]).create == [(1, "update")]


def test_status_and_the_end_of_an_update():
    pods = [member(0, "db-old"), member(1, ready=False), member(2, deleting=True)]
    assert compute_status(stateful_set(), pods, REVISIONS, 0, NOW) == {
        "observedGeneration": 1, "replicas": 3, "availableReplicas": 2, "currentRevision": "db-old",
        "updateRevision": "db-new", "collisionCount": 0, "readyReplicas": 2, "currentReplicas": 1,
        "updatedReplicas": 1,
    }  # fmt: skip
    done = compute_status(stateful_set(), [member(n) for n in range(3)], REVISIONS, 0, NOW)
    assert (done["currentRevision"], done["currentReplicas"]) == ("db-new", 3)


@pytest.mark.parametrize(
    ("policy", "condemned", "owner"),
    [
        ({"whenScaled": "Delete", "whenDeleted": "Retain"}, True, "pod"),
        ({"whenScaled": "Delete", "whenDeleted": "Retain"}, False, ""),
        ({"whenScaled": "Retain", "whenDeleted": "Delete"}, True, "set"),
        ({"whenScaled": "Retain", "whenDeleted": "Delete"}, False, "set"), ({}, True, ""),
    ],
)  # fmt: skip
def test_claim_retention(policy, condemned, owner):
    made = stateful_set(persistentVolumeClaimRetentionPolicy=policy)
    assert claim_owner(made, pod(), condemned=condemned) == owner


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(0, 5), min_size=1, max_size=4), seed=st.integers(0, 2**16),
       policy=st.sampled_from(["OrderedReady", "Parallel"]))  # fmt: skip
def test_a_life_in_order(sizes, seed, policy):
    """It ends with exactly the wanted ordinals, and in order nobody starts before the one below."""
    rng, made, pods = random.Random(seed), stateful_set(0, policy=policy), {}
    for size in sizes:
        made["spec"]["replicas"] = size
        for _ in range(80):
            plan = step(made, list(pods.values()), Revisions("db-new", "db-new"))
            for ordinal, _ in plan.create:
                assert ordinal not in pods
                if policy == "OrderedReady":
                    assert all(number in pods for number in range(ordinal))
                pods[ordinal] = make_stateful_pod(made, template(), "db-new", ordinal)
                pods[ordinal]["metadata"] = {**meta(f"db-{ordinal}"), **pods[ordinal]["metadata"]}
                pods[ordinal]["status"] = {"phase": "Pending"}
            if policy == "OrderedReady":
                assert len(plan.delete) + len(plan.create) <= 1
            for item in plan.delete:
                item["metadata"]["deletionTimestamp"] = ago(0)
            for ordinal, item in list(pods.items()):
                if item["metadata"].get("deletionTimestamp"):
                    if rng.random() < 0.5:
                        del pods[ordinal]
                elif rng.random() < 0.6:
                    item["status"] = {"phase": "Running", "conditions": [
                        {"type": "Ready", "status": "True", "lastTransitionTime": ago(0)}]}  # fmt: skip
        assert sorted(pods) == list(range(size))
