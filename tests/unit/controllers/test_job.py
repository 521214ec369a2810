"""Jobs: indexes, policies, the books, back-off, endings; and whole Jobs against a model of the cluster."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.job.counting import Backoff, count_pods, pending_indexes
from controllers.job.indexes import format_indexes, parse_indexes
from controllers.job.plan import is_finished, plan_job
from controllers.job.policies import match_failure, match_success
from controllers.job.template import TRACKING, make_job_pod
from machinery.meta.conditions import get_condition
from tests.unit.controllers.builders import NOW, ago, clone, ended, meta, names, pod, workload


def job(**spec):
    made = workload("Job", "j", **{"parallelism": 1, "completions": 1, "backoffLimit": 6, **spec})
    made["spec"]["template"]["spec"]["restartPolicy"] = "Never"
    return made


def indexed(completions, **spec):
    return job(completions=completions, completionMode="Indexed", **{"parallelism": completions, **spec})


def worker(name, index=None, **more):
    annotations = {"batch.kubernetes.io/job-completion-index": str(index)} if index is not None else {}
    return pod(name, finalizers=[TRACKING], annotations=annotations, **more)


def step(made, pods, *, backoff=Backoff(), may_act=True, now=NOW):
    return plan_job(made, pods, backoff, now, may_act=may_act, burst=500)


def conditions(plan):
    return [(item["type"], item["reason"]) for item in plan.status.get("conditions", ()) if item["status"] == "True"]


# --- indexes ------------------------------------------------------------------------------------------------------


@given(st.sets(st.integers(0, 60)))
def test_indexes_survive_their_text(indexes):
    assert parse_indexes(format_indexes(indexes), 61) == indexes


@pytest.mark.parametrize(
    ("indexes", "text"), [([], ""), ([1], "1"), ([1, 2], "1,2"), ([1, 2, 3], "1-3"), ([0, 2, 3, 4, 9], "0,2-4,9")]
)
def test_runs_of_three_are_written_as_ranges(indexes, text):
    assert format_indexes(indexes) == text


def test_indexes_beyond_the_limit_and_rubbish_are_skipped():
    assert parse_indexes("1,x,3-9", 5) == {1, 3, 4}
    assert parse_indexes(None, 5) == set()


# --- policies -----------------------------------------------------------------------------------------------------


def test_exit_code_rules():
    policy = {"rules": [
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
        {"action": "Ignore", "onExitCodes": {"operator": "NotIn", "values": [1], "containerName": "c"}},
    ]}  # fmt: skip
    action, message = match_failure(policy, ended(worker("p"), 42))
    assert action == "FailJob"
    assert message == "Container c for pod ns/p failed with exit code 42 matching FailJob rule at index 0"
    assert match_failure(policy, ended(worker("p"), 3))[0] == "Ignore"
    assert match_failure(policy, ended(worker("p"), 1)) == ("Count", "")
    assert match_failure(policy, ended(worker("p"), 3, container="other")) == ("Count", "")
    assert match_failure(None, ended(worker("p"), 3)) == ("Count", "")


def test_pod_condition_rules():
    policy = {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]}
    made = ended(worker("p"), 1)
    assert match_failure(policy, made)[0] == "Count"
    made["status"]["conditions"] = [{"type": "DisruptionTarget", "status": "True"}]
    assert match_failure(policy, made)[0] == "Ignore"


@pytest.mark.parametrize(
    ("rule", "succeeded", "met"),
    [
        ({"succeededCount": 2}, {0, 4}, True), ({"succeededCount": 2}, {0}, False),
        ({"succeededIndexes": "0-1"}, {0, 1}, True), ({"succeededIndexes": "0-1"}, {0, 4}, False),
        ({"succeededIndexes": "0-3", "succeededCount": 1}, {3}, True),
        ({"succeededIndexes": "0-3", "succeededCount": 1}, {4}, False),
    ],
)  # fmt: skip
def test_success_rules(rule, succeeded, met):
    made = indexed(5, successPolicy={"rules": [rule]})
    assert (match_success(made, succeeded) == "Matched rules at index 0") is met


# --- pods of a job ------------------------------------------------------------------------------------------------


def test_an_indexed_pod_bears_its_index_everywhere():
    made = make_job_pod(indexed(3), 2)
    assert made["metadata"]["generateName"] == "j-2-"
    assert made["spec"]["hostname"] == "j-2"
    assert made["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] == "2"
    assert made["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] == "2"
    assert made["spec"]["containers"][0]["env"][0]["name"] == "JOB_COMPLETION_INDEX"
    assert made["metadata"]["finalizers"] == [TRACKING]
    assert "hostname" not in make_job_pod(job(), None)["spec"]


def test_pending_indexes_skip_what_runs_or_is_done():
    made = indexed(6)
    made["status"]["completedIndexes"] = "0,3"
    pods = [worker("a", 1), ended(worker("b", 4), 1)]
    assert pending_indexes(made, pods, 10, count_pods(made, pods), NOW) == ([2, 4, 5], None)
    assert pending_indexes(made, pods, 2, count_pods(made, pods), NOW)[0] == [2, 4]


def test_an_index_that_failed_waits_by_itself():
    made = indexed(2, backoffLimitPerIndex=3)
    pods = [ended(worker("a", 0), 1, finished=4)]
    found, wait = pending_indexes(made, pods, 10, count_pods(made, pods), NOW)
    assert found == [1]
    assert wait == pytest.approx(6)


# --- steps --------------------------------------------------------------------------------------------------------


def test_creates_up_to_parallelism_and_what_is_left():
    assert len(step(job(parallelism=3, completions=10), []).create) == 3
    made = job(parallelism=3, completions=4)
    made["status"]["succeeded"] = 3
    assert len(step(made, []).create) == 1
    assert step(job(parallelism=0), []).create == []
    assert len(step(job(parallelism=2, completions=None), []).create) == 2


def test_a_work_queue_job_starts_nothing_after_the_first_success():
    made = job(parallelism=3, completions=None)
    made["status"] = {"succeeded": 1, "startTime": ago(9)}
    plan = step(made, [worker("a")])
    assert plan.create == []
    assert conditions(plan) == []


def test_nothing_is_created_while_expectations_are_open():
    assert step(job(), [], may_act=False).create == []


def test_counting_takes_three_durable_steps():
    made, done = job(completions=2), ended(worker("a"), 0)
    made["status"]["startTime"] = ago(9)
    first = step(made, [done])
    assert first.status["uncountedTerminatedPods"] == {"succeeded": [done["metadata"]["uid"]]}
    assert "succeeded" not in first.status
    assert first.unfinalize == [done]

    made["status"] = first.status
    repeated = step(made, [done])
    assert repeated.status["uncountedTerminatedPods"] == first.status["uncountedTerminatedPods"]

    done["metadata"]["finalizers"] = []
    last = step(made, [done])
    assert last.status["succeeded"] == 1
    assert last.status["uncountedTerminatedPods"] == {}
    made["status"] = last.status
    assert step(made, [done]).status["succeeded"] == 1


def test_a_listed_pod_that_vanished_still_counts():
    made = job(completions=3)
    made["status"] = {"startTime": ago(9), "uncountedTerminatedPods": {"failed": ["gone"]}}
    assert step(made, []).status["failed"] == 1


def test_completion_has_two_conditions_and_the_second_waits_for_the_books():
    made, done = job(), ended(worker("a"), 0)
    made["status"]["startTime"] = ago(9)
    first = step(made, [done])
    assert conditions(first) == [("SuccessCriteriaMet", "CompletionsReached")]
    made["status"] = first.status
    done["metadata"]["finalizers"] = []
    last = step(made, [done])
    assert conditions(last) == [("SuccessCriteriaMet", "CompletionsReached"), ("Complete", "CompletionsReached")]
    assert last.status["completionTime"]
    assert last.events == [("Normal", "Completed", "Job completed")]
    assert is_finished({**made, "status": last.status})


@pytest.mark.parametrize(("limit", "fails"), [(0, True), (1, False)])
def test_the_backoff_limit(limit, fails):
    made, bad = job(backoffLimit=limit), ended(worker("a"), 1)
    plan = step(made, [bad])
    assert conditions(plan) == ([("FailureTarget", "BackoffLimitExceeded")] if fails else [])
    assert plan.create == ([] if fails else [None])


def test_restarts_in_place_count_for_on_failure():
    made, busy = job(backoffLimit=2), worker("a")
    made["spec"]["template"]["spec"]["restartPolicy"] = "OnFailure"
    busy["status"]["containerStatuses"] = [{"name": "c", "restartCount": 1}]
    assert conditions(step(made, [busy])) == []
    busy["status"]["containerStatuses"] = [{"name": "c", "restartCount": 2}]
    plan = step(made, [busy])
    assert conditions(plan) == [("FailureTarget", "BackoffLimitExceeded")]
    assert names(plan.delete) == ["a"]


def test_a_deadline_ends_the_job_and_its_pods_count_as_failed():
    made, busy = job(activeDeadlineSeconds=5), worker("a")
    made["status"]["startTime"] = ago(3)
    assert step(made, [busy]).requeue_seconds == pytest.approx(2.01)
    made["status"]["startTime"] = ago(6)
    plan = step(made, [busy])
    assert conditions(plan) == [("FailureTarget", "DeadlineExceeded")]
    assert names(plan.delete) == ["a"]
    made["status"] = plan.status
    busy["metadata"]["deletionTimestamp"] = ago(0)
    plan = step(made, [busy])
    assert plan.status["uncountedTerminatedPods"] == {"failed": [busy["metadata"]["uid"]]}
    made["status"] = plan.status
    plan = step(made, [])
    assert plan.status["failed"] == 1
    assert conditions(plan)[-1] == ("Failed", "DeadlineExceeded")


def test_failure_policy_ends_or_ignores():
    policy = {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
                        {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [7]}}]}  # fmt: skip
    assert conditions(step(job(podFailurePolicy=policy), [ended(worker("a"), 42)])) == [
        ("FailureTarget", "PodFailurePolicy")
    ]
    plan = step(job(podFailurePolicy=policy, backoffLimit=0), [ended(worker("a"), 7)])
    assert conditions(plan) == []
    assert plan.status["uncountedTerminatedPods"] == {}
    assert names(plan.unfinalize) == ["a"]


def test_suspension_discards_pods_and_resuming_restarts_the_clock():
    made = job(suspend=True)
    made["status"] = {"startTime": ago(60), "active": 1}
    plan = step(made, [worker("a")])
    assert (names(plan.discard), plan.delete) == (["a"], [])
    assert conditions(plan) == [("Suspended", "JobSuspended")]
    assert "startTime" not in plan.status
    assert "active" not in plan.status
    assert plan.events == [("Normal", "Suspended", "Job suspended")]
    made["status"], made["spec"]["suspend"] = plan.status, False
    plan = step(made, [])
    assert get_condition(plan.status["conditions"], "Suspended")["reason"] == "JobResumed"
    assert plan.status["startTime"] == ago(0)
    assert plan.create == [None]


def test_per_index_limits():
    made = indexed(2, backoffLimitPerIndex=0, maxFailedIndexes=0, backoffLimit=2**31 - 1)
    plan = step(made, [ended(worker("a", 0), 1), worker("b", 1)])
    assert conditions(plan) == [("FailureTarget", "MaxFailedIndexesExceeded")]
    assert plan.status["failedIndexes"] == "0"
    made = indexed(2, backoffLimitPerIndex=0, backoffLimit=2**31 - 1)
    made["status"]["completedIndexes"] = "1"
    assert conditions(step(made, [ended(worker("a", 0), 1)])) == [("FailureTarget", "FailedIndexes")]


def test_success_policy_ends_the_rest_without_counting_it():
    made = indexed(3, successPolicy={"rules": [{"succeededCount": 1}]})
    pods = [ended(worker("a", 0), 0), worker("b", 1)]
    plan = step(made, pods)
    assert conditions(plan) == [("SuccessCriteriaMet", "SuccessPolicy")]
    assert names(plan.delete) == ["b"]
    made["status"] = plan.status
    pods[1]["metadata"]["deletionTimestamp"] = ago(0)
    plan = step(made, pods)
    assert "failed" not in plan.status
    assert plan.status["uncountedTerminatedPods"] == {}
    assert names(plan.unfinalize) == ["a", "b"]


def test_backoff_doubles_and_a_success_resets_it():
    def failed(name, ago_seconds):
        return ended(worker(name), 1, finished=ago_seconds)

    made = job(completions=9, backoffLimit=99)
    state = Backoff()
    for number in range(3):
        state = state.after(count_pods(made, [failed(f"p{number}", 10 - number)]))
    assert state.failures == 3
    assert state.remaining_seconds(NOW) == pytest.approx(40 - 8)
    repeated = state.after(count_pods(made, [failed("again", 1)]))
    assert repeated.failures == 4
    assert repeated.after(count_pods(made, [ended(worker("ok"), 0, finished=0)])).remaining_seconds(NOW) == 0
    assert Backoff(40, NOW).remaining_seconds(NOW) == 600


def test_a_job_waits_for_its_backoff():
    made, bad = job(completions=1), ended(worker("a"), 1, finished=4)
    plan = step(made, [bad])
    assert plan.create == []
    assert plan.requeue_seconds == pytest.approx(6)


def test_pod_replacement_policy_failed_waits_for_the_end():
    made = job(podReplacementPolicy="Failed")
    ending = worker("a", deletionTimestamp=ago(3600))
    assert step(made, [ending]).create == []
    assert step(job(), [ending]).create == [None]


# --- whole jobs ---------------------------------------------------------------------------------------------------


class Cluster:
    """Carries out plans with crashes between any two writes; pods end by chance."""

    def __init__(self, made, seed, failure_rate):
        self.job, self.rng, self.now, self.failure_rate = made, random.Random(seed), NOW, failure_rate
        self.pods, self.backoff, self.serial = {}, Backoff(), 0
        self.ended_ok, self.ended_bad = set(), set()

    def step(self):
        plan = plan_job(self.job, list(self.pods.values()), self.backoff, self.now, may_act=True, burst=500)
        self.backoff = plan.backoff
        for index in plan.create:
            self.serial += 1
            made = make_job_pod(self.job, index)
            made["metadata"] = {**meta(f"p{self.serial}"), **made["metadata"], "name": f"p{self.serial}"}
            made["status"] = {"phase": "Running"}
            self.pods[made["metadata"]["uid"]] = made
        for item in [*plan.delete, *plan.discard]:
            self.pods[item["metadata"]["uid"]]["metadata"]["deletionTimestamp"] = ago(0)
        if self.rng.random() < 0.2:
            return  # a crash before the status was written
        old = self.job["status"]
        for name in ("succeeded", "failed"):
            assert plan.status.get(name, 0) >= old.get(name, 0)
        self.job["status"] = clone(plan.status)
        for item in plan.unfinalize:
            if self.rng.random() < 0.2:
                return  # a crash between two patches
            self.pods[item["metadata"]["uid"]]["metadata"]["finalizers"] = []

    def time_passes(self):
        self.now += timedelta(seconds=self.rng.choice([1, 30, 700]))
        for uid, item in list(self.pods.items()):
            meta_ = item["metadata"]
            if meta_.get("deletionTimestamp") and not meta_.get("finalizers"):
                del self.pods[uid]
            elif meta_.get("deletionTimestamp") or self.rng.random() < 0.5:
                continue
            elif item["status"]["phase"] == "Running":
                good = self.rng.random() >= self.failure_rate
                ended(item, 0 if good else 1)
                (self.ended_ok if good else self.ended_bad).add(uid)


@settings(max_examples=60, deadline=None)
@given(completions=st.integers(0, 6), parallelism=st.integers(1, 4), is_indexed=st.booleans(),
       failure_rate=st.sampled_from([0.0, 0.3, 0.9]), limit=st.integers(0, 4), seed=st.integers(0, 2**16))  # fmt: skip
def test_every_pod_is_counted_exactly_once(completions, parallelism, is_indexed, failure_rate, limit, seed):
    mode = {"completionMode": "Indexed"} if is_indexed else {}
    made = job(completions=completions, parallelism=parallelism, backoffLimit=limit, **mode)
    cluster = Cluster(made, seed, failure_rate)
    for _ in range(500):
        cluster.step()
        if is_finished(made):
            break
        cluster.time_passes()
    assert is_finished(made)
    status = made["status"]
    assert status["uncountedTerminatedPods"] == {}
    assert all(not item["metadata"].get("finalizers") for item in cluster.pods.values())
    if get_condition(status["conditions"], "Complete"):
        assert status.get("succeeded", 0) == completions
        assert status.get("failed", 0) == len(cluster.ended_bad) <= limit
    else:
        assert status["failed"] > limit
    if not is_indexed:
        assert status.get("succeeded", 0) == len(cluster.ended_ok)
