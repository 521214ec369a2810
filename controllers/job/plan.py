"""One step of a Job: what to create and delete, which finalizers may go, what the status says. Pure.

Counting exactly once. A finished pod is counted in three durable steps, each of which may be the last before a
crash: its uid is written to ``status.uncountedTerminatedPods`` (not counted yet), then its tracking finalizer is
removed, then the uid is moved from the list into the count. A pod that carries the finalizer and is not listed is news;
a listed pod without finalizer is ready to be counted. Indexed successes need no list: ``completedIndexes`` is a set.

A Job ends in two steps too: the interim condition (SuccessCriteriaMet or FailureTarget) is written at once, the final
one (Complete, Failed) when no pod runs any more and everything is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from controllers.job import counting
from controllers.job.indexes import is_indexed
from controllers.job.policies import match_failure, match_success
from controllers.pods import is_pod_active, is_pod_ending, phase_of
from machinery.meta.conditions import condition_is, get_condition, is_pod_ready
from machinery.meta.objects import format_time, is_terminating, parse_time

Object = dict[str, Any]

FINAL = {"SuccessCriteriaMet": "Complete", "FailureTarget": "Failed"}


@dataclass
class JobPlan:
    status: Object
    changed: bool = False
    delete: list[Object] = field(default_factory=list)
    """Pods to end because the Job is over: they keep their finalizer until they are counted."""
    discard: list[Object] = field(default_factory=list)
    """Pods to end that count as nothing (suspended, scaled down): their finalizer goes first."""
    create: list[int | None] = field(default_factory=list)
    """One entry a pod; the index, or None for a Job without indexes."""
    unfinalize: list[Object] = field(default_factory=list)
    """Pods whose finalizer may go AFTER ``status`` is stored."""
    requeue_seconds: float | None = None
    events: list[tuple[str, str, str]] = field(default_factory=list)
    backoff: counting.Backoff = field(default_factory=counting.Backoff)


def is_finished(job: Object) -> bool:
    conditions = (job.get("status") or {}).get("conditions")
    return condition_is(conditions, "Complete") or condition_is(conditions, "Failed")


def plan_job(
    job: Object, pods: Sequence[Object], backoff: counting.Backoff, now: datetime, *, may_act: bool, burst: int
) -> JobPlan:
    """``may_act``: earlier creations and deletions have all been seen."""
    return _Step(job, pods, backoff, now, may_act, burst).run()


class _Step:
    def __init__(
        self, job: Object, pods: Sequence[Object], backoff: counting.Backoff, now: datetime, may_act: bool, burst: int
    ) -> None:
        self.job, self.spec, self.pods = job, job["spec"], pods
        self.now, self.may_act, self.burst = now, may_act, burst
        self.old: Object = job.get("status") or {}
        self.conditions: list[Object] = list(self.old.get("conditions") or ())
        self.start: str | None = self.old.get("startTime")
        self.active = [pod for pod in pods if is_pod_active(pod)]
        self.suspended = bool(self.spec.get("suspend"))
        self.counted = counting.count_pods(job, pods)
        self.plan = JobPlan({}, backoff=backoff.after(self.counted))

    def run(self) -> JobPlan:
        if not self.suspended and self.start is None:
            self.start = format_time(self.now)
        interim = self._existing_interim() or self._new_interim()
        if interim is not None:
            self._end_pods()
        elif self.may_act and not is_terminating(self.job):
            self._manage()
            self._note_suspension()
            if self._is_complete():
                interim = self._condition("SuccessCriteriaMet", "CompletionsReached",
                                          "Reached expected number of succeeded pods")  # fmt: skip
        self._write_status(interim)
        return self.plan

    # --- does it end? -------------------------------------------------------------------------------------------

    def _existing_interim(self) -> Object | None:
        for type_ in FINAL:
            condition = get_condition(self.conditions, type_)
            if condition is not None and condition["status"] == "True":
                return condition
        return None

    def _condition(self, type_: str, reason: str, message: str) -> Object:
        at = format_time(self.now)
        return {"type": type_, "status": "True", "lastProbeTime": at, "lastTransitionTime": at, "reason": reason,
                "message": message}  # fmt: skip

    def _new_interim(self) -> Object | None:
        for pod in self.counted.new_failed:
            action, message = match_failure(self.spec.get("podFailurePolicy"), pod)
            if action == "FailJob":
                return self._condition("FailureTarget", "PodFailurePolicy", message)
        if self._exceeds_backoff():
            return self._condition(
                "FailureTarget", "BackoffLimitExceeded", "Job has reached the specified backoff limit"
            )
        if self._past_deadline():
            return self._condition(
                "FailureTarget", "DeadlineExceeded", "Job was active longer than specified deadline"
            )
        if is_indexed(self.job):
            return self._new_indexed_interim()
        return None

    def _new_indexed_interim(self) -> Object | None:
        message = match_success(self.job, self.counted.succeeded_indexes)
        if message is not None:
            return self._condition("SuccessCriteriaMet", "SuccessPolicy", message)
        if self.spec.get("backoffLimitPerIndex") is None:
            return None
        failed = len(self.counted.failed_indexes)
        limit = self.spec.get("maxFailedIndexes")
        if limit is not None and failed > int(limit):
            return self._condition("FailureTarget", "MaxFailedIndexesExceeded",
                                   "Job has exceeded the specified maximal number of failed indexes")  # fmt: skip
        if failed and failed + len(self.counted.succeeded_indexes) >= int(self.spec.get("completions") or 0):
            return self._condition("FailureTarget", "FailedIndexes", "Job has failed indexes")
        return None

    def _exceeds_backoff(self) -> bool:
        limit = self.spec.get("backoffLimit")
        limit = 6 if limit is None else int(limit)
        if self.counted.failed > limit:
            return True
        if (self.spec["template"]["spec"].get("restartPolicy")) != "OnFailure":
            return False
        restarts = sum(counting.restarts(pod) for pod in self.pods if phase_of(pod) in ("Running", "Pending"))
        return restarts > 0 if limit == 0 else restarts >= limit

    def _past_deadline(self) -> bool:
        seconds = self.spec.get("activeDeadlineSeconds")
        if seconds is None or self.start is None or self.suspended:
            return False
        left = int(seconds) - (self.now - parse_time(self.start)).total_seconds()
        if left > 0:
            self._requeue(left + 0.01)
        return left <= 0

    def _is_complete(self) -> bool:
        if self.plan.create or self.active:
            return False
        completions = self.spec.get("completions")
        if completions is None:
            return self.counted.succeeded > 0
        return self.counted.succeeded >= int(completions)

    # --- pods ---------------------------------------------------------------------------------------------------

    def _end_pods(self) -> None:
        if self.may_act:
            self.plan.delete = self.active[: self.burst]

    def _manage(self) -> None:
        if self.suspended:
            self.plan.discard = self.active[: self.burst]
            self._remove_from_active(self.plan.discard)
            return
        wanted = self._wanted_active()
        surplus = len(self.active) - wanted
        discard = counting.choose_surplus(self.job, self.active, surplus, self.counted, self.now)
        if discard:
            self.plan.discard = discard[: self.burst]
            self._remove_from_active(self.plan.discard)
            return
        missing = wanted - len(self.active)
        if self.spec.get("podReplacementPolicy") == "Failed":
            missing -= sum(1 for pod in self.pods if is_pod_ending(pod))
        if missing <= 0:
            return
        wait = self.plan.backoff.remaining_seconds(self.now)
        if wait > 0 and self.spec.get("backoffLimitPerIndex") is None:
            self._requeue(wait)
            return
        missing = min(missing, self.burst)
        if not is_indexed(self.job):
            self.plan.create = [None] * missing
            return
        ready, later = counting.pending_indexes(self.job, self.pods, missing, self.counted, self.now)
        self.plan.create = list(ready)
        if later is not None:
            self._requeue(later)

    def _wanted_active(self) -> int:
        parallelism = self.spec.get("parallelism")
        parallelism = 1 if parallelism is None else int(parallelism)
        completions = self.spec.get("completions")
        if completions is None:
            return len(self.active) if self.counted.succeeded > 0 else parallelism
        return max(0, min(int(completions) - self.counted.succeeded, parallelism))

    def _remove_from_active(self, gone: Sequence[Object]) -> None:
        ids = {pod["metadata"]["uid"] for pod in gone}
        self.active = [pod for pod in self.active if pod["metadata"]["uid"] not in ids]

    def _requeue(self, seconds: float) -> None:
        known = self.plan.requeue_seconds
        self.plan.requeue_seconds = seconds if known is None else min(known, seconds)

    def _note_suspension(self) -> None:
        current = get_condition(self.conditions, "Suspended")
        is_noted = current is not None and current["status"] == "True"
        if self.suspended and not is_noted:
            self._set_suspended("True", "JobSuspended", "Job suspended")
            self.plan.events.append(("Normal", "Suspended", "Job suspended"))
            self.start = None
        elif not self.suspended and is_noted:
            self._set_suspended("False", "JobResumed", "Job resumed")
            self.plan.events.append(("Normal", "Resumed", "Job resumed"))
            self.start = format_time(self.now)

    def _set_suspended(self, status: str, reason: str, message: str) -> None:
        made = {**self._condition("Suspended", reason, message), "status": status}
        if get_condition(self.conditions, "Suspended") is None:
            self.conditions.append(made)
        else:
            self.conditions = [made if item["type"] == "Suspended" else item for item in self.conditions]

    # --- status -------------------------------------------------------------------------------------------------

    def _write_status(self, interim: Object | None) -> None:
        counted = self.counted
        ending = sum(1 for pod in self.pods if is_pod_ending(pod))
        over = interim is not None
        counted.settle(over=over, failed=over and interim is not None and interim["type"] == "FailureTarget")
        self.plan.unfinalize = counted.unfinalize
        active = len(self.active) - (len(self.plan.delete) if over else 0) + len(self.plan.create)
        status: Object = {"startTime": self.start} if self.start else {}
        counts = {"active": active, "succeeded": counted.stored_succeeded, "failed": counted.stored_failed}
        status |= {key: value for key, value in counts.items() if value}
        status["terminating"] = ending + len(self.plan.delete)
        status["ready"] = 0 if over and self.plan.delete else sum(1 for pod in self.active if is_pod_ready(pod))
        status["uncountedTerminatedPods"] = counted.uncounted_status()
        status |= counted.index_status()
        conditions = list(self.conditions)
        if interim is not None:
            if get_condition(conditions, interim["type"]) is None:
                conditions.append(interim)
            elif not condition_is(conditions, interim["type"]):
                conditions = [interim if item["type"] == interim["type"] else item for item in conditions]
            if self._all_is_over():
                final = self._condition(FINAL[interim["type"]], interim.get("reason", ""), interim.get("message", ""))
                conditions.append(final)
                if final["type"] == "Complete":
                    status["completionTime"] = format_time(self.now)
                    self.plan.events.append(("Normal", "Completed", "Job completed"))
                else:
                    self.plan.events.append(("Warning", final["reason"], final["message"]))
        if conditions:
            status["conditions"] = conditions
        self.plan.status = status
        self.plan.changed = status != self.old

    def _all_is_over(self) -> bool:
        """No pod runs or ends, and all that ended is in the counts."""
        running = any(phase_of(pod) not in ("Succeeded", "Failed") for pod in self.pods)
        return not running and not self.plan.create and self.counted.is_settled

