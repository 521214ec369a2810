"""Deployment: the arithmetic, single steps, and whole rollouts against a model of the ReplicaSet controller."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.deployment import math as dm
from controllers.deployment import revisions as rev
from controllers.deployment.plan import plan_deployment
from controllers.deployment.status import is_complete, put_condition
from machinery.meta.conditions import get_condition
from tests.unit.controllers.builders import NOW, ago, clone, meta, pod, template, workload


def deployment(replicas=4, *, surge="25%", unavailable="25%", image="x:1", strategy="RollingUpdate", **spec):
    rolling = {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    rolling = rolling if strategy == "RollingUpdate" else {}
    return workload(
        "Deployment", "web", replicas=replicas, strategy={"type": strategy, **rolling}, template=template(image),
        **{"progressDeadlineSeconds": 600, "revisionHistoryLimit": 10, **spec},
    )  # fmt: skip


def replica_set(owner, name, image, size, *, available=None, revision="1", age=100, **status):
    available = size if available is None else available
    annotations = {
        rev.REVISION: revision, rev.DESIRED_REPLICAS: str(owner["spec"]["replicas"]),
        rev.MAX_REPLICAS: str(owner["spec"]["replicas"] + dm.max_surge(owner)),
    }  # fmt: skip
    made = {
        "metadata": meta(name, annotations=annotations, labels={"app": "a"}, creationTimestamp=ago(age)),
        "spec": {"replicas": size, "selector": {"matchLabels": {"app": "a"}}, "template": template(image)},
        "status": {"replicas": size, "readyReplicas": available, "availableReplicas": available,
                   "terminatingReplicas": 0, "observedGeneration": 1, **status},
    }  # fmt: skip
    made["spec"]["template"]["metadata"]["labels"]["pod-template-hash"] = name
    return made


# --- numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "posts"),
    [
        (4, "25%", "25%", (1, 1)), (10, "25%", "25%", (3, 2)), (1, "25%", "25%", (1, 0)), (3, 0, 0, (0, 1)),
        (3, "0%", "1%", (0, 1)), (3, 2, 1, (2, 1)), (0, "50%", "50%", (0, 1)),
    ],
)  # fmt: skip
def test_fence_posts_round_surge_up_and_unavailability_down(replicas, surge, unavailable, posts):
    assert dm.fence_posts(deployment(replicas, surge=surge, unavailable=unavailable)) == posts


def test_unavailable_never_exceeds_the_replicas():
    assert dm.max_unavailable(deployment(2, unavailable=10)) == 2
    assert dm.max_unavailable(deployment(0, unavailable=10)) == 0
    assert dm.max_unavailable(deployment(5, strategy="Recreate")) == 0


def test_scale_down_takes_unhealthy_replicas_first():
    owner = deployment(10, surge=3, unavailable=2)
    new = replica_set(owner, "new", "x:1", 5, available=5)
    sick = replica_set(owner, "sick", "x:0", 2, available=0, age=10)
    well = replica_set(owner, "well", "x:-1", 6, available=6, age=200)
    sizes = dm.scale_down_old(owner, new, [sick, well])
    assert sizes["sick"] == 0
    assert sizes["well"] == 3


def test_scale_down_waits_while_new_pods_are_unavailable():
    owner = deployment(4)
    new = replica_set(owner, "new", "x:1", 2, available=0)
    assert dm.scale_down_old(owner, new, [replica_set(owner, "old", "x:0", 3)]) == {}


def test_proportional_scaling_recorded_case():
    owner = deployment(6)
    sets = [replica_set(owner, "old", "x:0", 3), replica_set(owner, "new", "x:1", 2)]
    for item in sets:
        item["metadata"]["annotations"][rev.MAX_REPLICAS] = "5"
    assert dm.proportions(owner, sets) == {"old": 5, "new": 3}


@given(st.integers(0, 50), st.lists(st.integers(1, 30), min_size=2, max_size=5), st.integers(0, 100))
def test_proportional_scaling_hands_out_exactly_the_allowed_size(replicas, sizes, before):
    owner = deployment(replicas)
    sets = [replica_set(owner, f"s{number}", f"x:{number}", size) for number, size in enumerate(sizes)]
    for item in sets:
        item["metadata"]["annotations"][rev.MAX_REPLICAS] = str(before)
    allowed = replicas + dm.max_surge(owner) if replicas else 0
    result = dm.proportions(owner, sets)
    assert all(size >= 0 for size in result.values())
    if allowed >= sum(sizes) or replicas == 0:
        assert sum(result.values()) == allowed
    else:
        assert allowed <= sum(result.values()) <= sum(sizes)


# --- revisions ----------------------------------------------------------------------------------------------------


def test_a_template_that_returns_takes_a_new_revision_and_remembers():
    owner = deployment()
    owner["metadata"]["annotations"] = {
        "kubernetes.io/change-cause": "why", "kubectl.kubernetes.io/last-applied-configuration": "{}",
        rev.REVISION: "9",
    }  # fmt: skip
    item = replica_set(owner, "a", "x:1", 0, revision="2")
    assert rev.annotate(owner, item, 5, exists=True)
    annotations = item["metadata"]["annotations"]
    assert (annotations[rev.REVISION], annotations[rev.REVISION_HISTORY]) == ("5", "2")
    assert annotations["kubernetes.io/change-cause"] == "why"
    assert "kubectl.kubernetes.io/last-applied-configuration" not in annotations
    assert not rev.annotate(owner, item, 5, exists=True)
    rev.annotate(owner, item, 7, exists=True)
    assert item["metadata"]["annotations"][rev.REVISION_HISTORY] == "2,5"


def test_the_history_is_cut_at_its_limit():
    owner = deployment()
    item = replica_set(owner, "a", "x:1", 0, revision="1000")
    item["metadata"]["annotations"][rev.REVISION_HISTORY] = ",".join(str(number) for number in range(600))
    rev.annotate(owner, item, 1001, exists=True)
    history = item["metadata"]["annotations"][rev.REVISION_HISTORY]
    assert len(history) <= rev.HISTORY_LIMIT_CHARACTERS
    assert history.endswith(",1000")


def test_only_empty_settled_old_sets_are_obsolete():
    owner = deployment(revisionHistoryLimit=1)
    sets = [replica_set(owner, f"s{number}", f"x:{number}", 0, revision=str(number)) for number in (3, 1, 2)]
    assert [item["metadata"]["name"] for item in rev.obsolete(owner, sets)] == ["s1", "s2"]
    sets[1]["status"]["replicas"] = 1
    sets[2]["metadata"]["generation"] = 5
    assert rev.obsolete(owner, sets) == []
    owner["spec"]["revisionHistoryLimit"] = None
    assert rev.obsolete(owner, sets) == []


# --- steps --------------------------------------------------------------------------------------------------------


def test_the_first_step_makes_the_replica_set():
    plan = plan_deployment(deployment(4), [], {}, NOW)
    (write,) = plan.writes
    made = write.replica_set
    assert write.create
    assert write.grew_from == 0
    assert made["spec"]["replicas"] == 4
    digest = made["metadata"]["labels"]["pod-template-hash"]
    assert made["metadata"]["name"] == f"web-{digest}"
    assert made["spec"]["selector"]["matchLabels"] == {"app": "a", "pod-template-hash": digest}
    assert made["spec"]["template"]["metadata"]["labels"]["pod-template-hash"] == digest
    assert made["metadata"]["annotations"] == {
        rev.REVISION: "1", rev.DESIRED_REPLICAS: "4", rev.MAX_REPLICAS: "5",
    }  # fmt: skip
    assert plan.revision == "1"
    assert [item["type"] for item in plan.status["conditions"]] == ["Progressing", "Available"]
    assert plan.status["conditions"][0]["reason"] == "NewReplicaSetCreated"


def test_a_collision_count_changes_the_name():
    owner = deployment()
    before = plan_deployment(owner, [], {}, NOW).writes[0].replica_set["metadata"]["name"]
    owner["status"]["collisionCount"] = 1
    assert plan_deployment(owner, [], {}, NOW).writes[0].replica_set["metadata"]["name"] != before


def test_paused_deployments_scale_but_do_not_roll():
    owner = deployment(4, paused=True, image="x:2")
    old = replica_set(owner, "old", "x:1", 4)
    plan = plan_deployment(owner, [old], {}, NOW)
    assert plan.writes == []
    assert get_condition(plan.status["conditions"], "Progressing")["reason"] == "DeploymentPaused"
    owner["spec"]["replicas"] = 6
    plan = plan_deployment(owner, [old], {}, NOW)
    assert [write.replica_set["spec"]["replicas"] for write in plan.writes] == [6]


def test_resuming_is_noted():
    owner = deployment(4, image="x:1")
    paused = {"type": "Progressing", "status": "Unknown", "reason": "DeploymentPaused"}
    owner["status"] = {"replicas": 4, "updatedReplicas": 4, "conditions": [paused]}
    plan = plan_deployment(owner, [replica_set(owner, "a", "x:1", 4, available=0)], {}, NOW)
    assert get_condition(plan.status["conditions"], "Progressing")["reason"] == "DeploymentResumed"


def test_recreate_waits_for_the_last_old_pod():
    owner = deployment(2, strategy="Recreate", image="x:2")
    old = replica_set(owner, "old", "x:1", 2)
    plan = plan_deployment(owner, [old], {}, NOW)
    (write,) = plan.writes
    assert (write.replica_set["metadata"]["name"], write.replica_set["spec"]["replicas"]) == ("old", 0)
    gone = replica_set(owner, "old", "x:1", 0)
    ending = pod(deleting=True)
    assert plan_deployment(owner, [gone], {gone["metadata"]["uid"]: [ending]}, NOW).writes == []
    (write,) = plan_deployment(owner, [gone], {gone["metadata"]["uid"]: []}, NOW).writes
    assert write.create
    assert write.replica_set["spec"]["replicas"] == 2


def progressing(reason, status="True", since=0.0):
    return {"type": "Progressing", "status": status, "reason": reason, "message": "",
            "lastUpdateTime": ago(since), "lastTransitionTime": ago(since)}  # fmt: skip


@pytest.mark.parametrize(("since", "reason"), [(599, "ReplicaSetUpdated"), (601, "ProgressDeadlineExceeded")])
def test_the_deadline(since, reason):
    owner = deployment(4)
    new = replica_set(owner, "new", "x:1", 4, available=0)
    owner["status"] = {"replicas": 4, "updatedReplicas": 4, "observedGeneration": 1,
                       "conditions": [progressing("ReplicaSetUpdated", since=since)]}  # fmt: skip
    plan = plan_deployment(owner, [new], {}, NOW)
    condition = get_condition(plan.status["conditions"], "Progressing")
    assert condition["reason"] == reason
    if reason == "ProgressDeadlineExceeded":
        assert condition["message"] == 'ReplicaSet "new" has timed out progressing.'
        assert plan.requeue_seconds is None
    else:
        assert plan.requeue_seconds == pytest.approx(2)


def test_a_complete_deployment_has_no_deadline():
    owner = deployment(4)
    owner["status"]["conditions"] = [progressing("NewReplicaSetAvailable", since=9999)]
    plan = plan_deployment(owner, [replica_set(owner, "a", "x:1", 4)], {}, NOW)
    assert get_condition(plan.status["conditions"], "Progressing")["reason"] == "NewReplicaSetAvailable"
    assert plan.requeue_seconds is None
    owner["spec"]["progressDeadlineSeconds"] = 2**31 - 1
    plan = plan_deployment(owner, [replica_set(owner, "a", "x:1", 4)], {}, NOW)
    assert get_condition(plan.status["conditions"], "Progressing") is None


def test_a_failing_replica_set_shows_on_the_deployment():
    owner = deployment(4)
    failing = replica_set(owner, "a", "x:1", 4, available=0, conditions=[
        {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"}])  # fmt: skip
    plan = plan_deployment(owner, [failing], {}, NOW)
    assert get_condition(plan.status["conditions"], "ReplicaFailure")["message"] == "quota"
    owner["status"] = plan.status
    plan = plan_deployment(owner, [replica_set(owner, "a", "x:1", 4)], {}, NOW)
    assert get_condition(plan.status["conditions"], "ReplicaFailure") is None


def test_a_changed_condition_moves_to_the_end_and_keeps_its_transition():
    old = [progressing("A", since=50), {"type": "Available", "status": "True", "reason": "x"}]
    new = put_condition(old, {**progressing("B"), "message": "now"})
    assert [item["type"] for item in new] == ["Available", "Progressing"]
    assert new[1]["lastTransitionTime"] == ago(50)
    assert put_condition(old, progressing("A")) == old


def test_a_plan_changes_none_of_its_inputs():
    owner = deployment(6, image="x:2")
    sets = [replica_set(owner, "old", "x:1", 4)]
    before = clone([owner, sets])
    plan_deployment(owner, sets, {}, NOW)
    assert [owner, sets] == before


# --- whole rollouts -----------------------------------------------------------------------------------------------


class Cluster:
    """A Deployment, its ReplicaSets, and a model of what their controller and the agents do between two steps."""

    def __init__(self, owner, seed):
        self.owner, self.rng, self.now = owner, random.Random(seed), NOW
        self.sets = {}

    def step(self):
        plan = plan_deployment(self.owner, list(self.sets.values()), {}, self.now)
        for write in plan.writes:
            item = clone(write.replica_set)
            name = item["metadata"]["name"]
            assert write.create == (name not in self.sets)
            if write.create:
                item["metadata"] = {**meta(name), **item["metadata"]}
                item["status"] = {"replicas": 0, "terminatingReplicas": 0}
            self.sets[name] = item
        for item in plan.delete:
            assert self.sets[item["metadata"]["name"]]["spec"]["replicas"] == 0
            del self.sets[item["metadata"]["name"]]
        if plan.status is not None:
            self.owner["status"] = clone(plan.status)
        if plan.revision is not None:
            self.owner["metadata"].setdefault("annotations", {})[rev.REVISION] = plan.revision
        return bool(plan.writes or plan.delete or plan.status)

    def pods_move(self):
        """Each ReplicaSet reaches its size; some of its pods become available. Scaling down takes the unready first."""
        self.now += timedelta(seconds=1)
        for item in self.sets.values():
            size, status = item["spec"]["replicas"], item["status"]
            available = min(status.get("availableReplicas", 0), size)
            available = self.rng.randint(available, size)
            item["status"] = {
                "replicas": size, "readyReplicas": available, "availableReplicas": available, "terminatingReplicas": 0,
                "observedGeneration": item["metadata"].get("generation", 1),
            }  # fmt: skip

    def total(self):
        return sum(item["spec"]["replicas"] for item in self.sets.values())

    def available(self):
        return sum(
            min(item["status"].get("availableReplicas", 0), item["spec"]["replicas"]) for item in self.sets.values()
        )

    def settle(self, check):
        for _ in range(400):
            moved = self.step()
            check()
            self.pods_move()
            if not moved and is_complete(self.owner, self.owner["status"]):
                return
        raise AssertionError(f"did not settle: {self.sets}")


@settings(max_examples=60, deadline=None)
@given(
    replicas=st.integers(1, 12), surge=st.one_of(st.integers(0, 4), st.sampled_from(["0%", "25%", "100%"])),
    unavailable=st.one_of(st.integers(0, 4), st.sampled_from(["0%", "30%", "100%"])),
    images=st.lists(st.sampled_from(["x:1", "x:2", "x:3"]), min_size=1, max_size=4), seed=st.integers(0, 2**16),
)  # fmt: skip
def test_rollouts_keep_their_promises(replicas, surge, unavailable, images, seed):
    """Never more than the surge above, never fewer available than promised, and it always ends complete."""
    owner = deployment(replicas, surge=surge, unavailable=unavailable, revisionHistoryLimit=1)
    cluster = Cluster(owner, seed)
    ceiling, floor = replicas + dm.max_surge(owner), replicas - dm.max_unavailable(owner)

    cluster.settle(lambda: None)
    for image in images:
        owner["spec"]["template"] = template(image)
        owner["metadata"]["generation"] += 1

        def check():
            assert cluster.total() <= ceiling
            assert cluster.available() >= floor

        cluster.settle(check)
        sizes = [(item["spec"]["template"]["spec"]["containers"][0]["image"], item["spec"]["replicas"])
                 for item in cluster.sets.values() if item["spec"]["replicas"]]  # fmt: skip
        assert sizes == [(image, replicas)]
        assert len(cluster.sets) <= 2
        condition = get_condition(owner["status"]["conditions"], "Progressing")
        assert condition["reason"] == "NewReplicaSetAvailable"
        assert owner["metadata"]["annotations"][rev.REVISION] == str(max(map(rev.revision_of, cluster.sets.values())))


@settings(max_examples=40, deadline=None)
@given(changes=st.lists(st.tuples(st.sampled_from(["scale", "image", "pause"]), st.integers(0, 9), st.integers(0, 3)),
                        min_size=1, max_size=8), seed=st.integers(0, 2**16))  # fmt: skip
def test_any_history_of_changes_ends_where_the_spec_says(changes, seed):
    owner = deployment(3)
    cluster = Cluster(owner, seed)
    for kind, value, steps in changes:
        if kind == "scale":
            owner["spec"]["replicas"] = value
        elif kind == "image":
            owner["spec"]["template"] = template(f"x:{value % 3}")
        else:
            owner["spec"]["paused"] = bool(value % 2)
        owner["metadata"]["generation"] += 1
        for _ in range(steps):
            cluster.step()
            cluster.pods_move()
    owner["spec"]["paused"] = False
    owner["metadata"]["generation"] += 1
    cluster.settle(lambda: None)
    assert cluster.total() == owner["spec"]["replicas"]


def test_terminating_replicas_are_told_when_all_tell():
    owner = deployment(4)
    sets = [replica_set(owner, "a", "x:1", 4, terminatingReplicas=2), replica_set(owner, "b", "x:2", 0)]
    assert plan_deployment(owner, sets, {}, NOW).status["terminatingReplicas"] == 2
    sets[1]["status"] = {"replicas": 0}
    assert plan_deployment(owner, sets, {}, NOW).status["terminatingReplicas"] == 2
    sets[1]["status"] = {"replicas": 0, "observedGeneration": 1}
    assert "terminatingReplicas" not in plan_deployment(owner, sets, {}, NOW).status
    assert plan_deployment(owner, [], {}, NOW).status["terminatingReplicas"] == 0
