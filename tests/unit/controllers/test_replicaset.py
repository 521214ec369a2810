"""ReplicaSet and ReplicationController: how many, which, and the status."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controllers.replicaset.plan import compute_status, plan_replicas
from tests.unit.controllers.builders import NOW, ago, pod, workload


@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 10))
def test_the_number_is_approached_within_the_burst(wanted, present, burst):
    owner = workload("ReplicaSet", replicas=wanted)
    pods = [pod(f"p{number}") for number in range(present)]
    plan = plan_replicas(owner, pods, pods, NOW, burst)
    assert plan.create == min(max(0, wanted - present), burst)
    assert len(plan.delete) == min(max(0, present - wanted), burst)
    assert not (plan.create and plan.delete)


def test_replicas_default_to_one():
    assert plan_replicas(workload("ReplicaSet"), [], [], NOW, 500).create == 1
    assert plan_replicas(workload("ReplicaSet", replicas=0), [pod()], [], NOW, 500).delete


def test_status_counts():
    owner = workload("ReplicaSet", replicas=3, minReadySeconds=30)
    owner["spec"]["template"]["metadata"]["labels"] = {"app": "a", "extra": "1"}
    pods = [pod("a", labels={"app": "a", "extra": "1"}), pod("b", ready_for=5), pod("c", phase="Pending")]
    assert compute_status(owner, pods, 2, None, NOW) == {
        "replicas": 3, "fullyLabeledReplicas": 1, "readyReplicas": 2, "availableReplicas": 1, "terminatingReplicas": 2,
        "observedGeneration": 1,
    }  # fmt: skip
    assert compute_status(owner, [], None, None, NOW) == {"replicas": 0, "observedGeneration": 1}


def test_a_failure_is_told_once_and_taken_back():
    owner = workload("ReplicaSet", replicas=3)
    status = compute_status(owner, [], 0, ("FailedCreate", "quota"), NOW)
    (condition,) = status["conditions"]
    assert (condition["type"], condition["status"], condition["reason"], condition["message"]) == (
        "ReplicaFailure", "True", "FailedCreate", "quota",
    )  # fmt: skip
    condition["lastTransitionTime"] = ago(60)
    owner["status"] = status
    again = compute_status(owner, [], 0, ("FailedCreate", "another text"), NOW)
    assert again["conditions"] == [condition]
    assert "conditions" not in compute_status(owner, [], 0, None, NOW)
