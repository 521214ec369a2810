"""The books of a Job: which pods are counted, which are listed and not counted yet, which are news. Pure.

See the head of ``plan`` for the protocol. ``count_pods`` says how many there are for the purpose of deciding (counted
+ listed + news); ``settle`` then moves every pod one durable step further.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from controllers.job.indexes import format_indexes, index_of, is_indexed, parse_indexes
from controllers.job.policies import match_failure
from controllers.job.template import FAILURE_COUNT, TRACKING
from controllers.pods import is_pod_active, is_pod_ending, phase_of, pods_to_delete
from machinery.meta.conditions import get_condition
from machinery.meta.objects import annotations_of, is_terminating, parse_time

Object = dict[str, Any]

BACKOFF_BASE_SECONDS = 10.0
BACKOFF_MAX_SECONDS = 600.0


def is_tracked(pod: Object) -> bool:
    return TRACKING in (pod["metadata"].get("finalizers") or ())


def is_pod_failed(job: Object, pod: Object) -> bool:
    """Failed, or deleted before it could end: such a pod may never reach the phase Failed."""
    if phase_of(pod) == "Failed":
        return True
    if job["spec"].get("podReplacementPolicy") == "Failed":
        return False
    return is_terminating(pod) and phase_of(pod) != "Succeeded"


def restarts(pod: Object) -> int:
    status = pod.get("status", {})
    statuses = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return sum(int(item.get("restartCount") or 0) for item in statuses)


def finished_at(pod: Object) -> datetime | None:
    """When its last container ended; else when it was deleted or stopped being ready; else its creation."""
    ends = []
    for item in pod.get("status", {}).get("containerStatuses") or ():
        ended = (item.get("state") or {}).get("terminated") or {}
        if ended.get("finishedAt"):
            ends.append(parse_time(ended["finishedAt"]))
    if ends:
        return max(ends)
    meta = pod["metadata"]
    if meta.get("deletionTimestamp"):
        grace = timedelta(seconds=int(meta.get("deletionGracePeriodSeconds") or 0))
        return parse_time(meta["deletionTimestamp"]) - grace
    ready = get_condition(pod.get("status", {}).get("conditions"), "Ready")
    if ready is not None and ready.get("lastTransitionTime"):
        return parse_time(ready["lastTransitionTime"])
    return parse_time(meta["creationTimestamp"]) if meta.get("creationTimestamp") else None


@dataclass(frozen=True)
class Backoff:
    """Failures since the last success. In memory: after a restart of the process the delay starts anew."""

    failures: int = 0
    last_failure: datetime | None = None
    seen: frozenset[str] = frozenset()

    def after(self, counted: Counting) -> Backoff:
        news = [pod for pod in counted.new_failed if pod["metadata"]["uid"] not in self.seen]
        won = [at for pod in counted.new_succeeded if (at := finished_at(pod)) is not None]
        failures, last = self.failures, self.last_failure
        if won and (last is None or max(won) > last):
            failures = 0
            news = [pod for pod in news if (at := finished_at(pod)) is None or at > max(won)]
        for pod in news:
            failures += 1
            at = finished_at(pod)
            last = at if last is None or (at is not None and at > last) else last
        return Backoff(failures, last, self.seen | {pod["metadata"]["uid"] for pod in counted.new_failed})

    def remaining_seconds(self, now: datetime) -> float:
        if self.failures == 0 or self.last_failure is None:
            return 0.0
        delay = min(BACKOFF_BASE_SECONDS * 2.0 ** min(self.failures - 1, 20), BACKOFF_MAX_SECONDS)
        return max(0.0, delay - (now - self.last_failure).total_seconds())


@dataclass
class Counting:
    job: Object
    pods: Sequence[Object]
    listed_succeeded: set[str]
    listed_failed: set[str]
    new_succeeded: list[Object]
    new_failed: list[Object]
    ignored: set[str]
    succeeded_indexes: set[int]
    failed_indexes: set[int]
    stored_succeeded: int = 0
    stored_failed: int = 0
    still_succeeded: list[str] = field(default_factory=list)
    still_failed: list[str] = field(default_factory=list)
    unfinalize: list[Object] = field(default_factory=list)

    @property
    def succeeded(self) -> int:
        if is_indexed(self.job):
            return len(self.succeeded_indexes)
        return self._stored("succeeded") + len(self.listed_succeeded) + len(self.new_succeeded)

    @property
    def failed(self) -> int:
        news = sum(1 for pod in self.new_failed if pod["metadata"]["uid"] not in self.ignored)
        return self._stored("failed") + len(self.listed_failed) + news

    def _stored(self, name: str) -> int:
        return int((self.job.get("status") or {}).get(name) or 0)

    def settle(self, *, over: bool, failed: bool) -> None:
        """One step for every pod. ``over``: the Job ends; ``failed``: in failure, and what runs counts as failed."""
        tracked = {pod["metadata"]["uid"]: pod for pod in self.pods if is_tracked(pod)}
        self.stored_succeeded, self.stored_failed = self._stored("succeeded"), self._stored("failed")
        for uid in sorted(self.listed_succeeded):
            if uid in tracked:
                self.still_succeeded.append(uid)
                self.unfinalize.append(tracked[uid])
            else:
                self.stored_succeeded += 1
        for uid in sorted(self.listed_failed):
            if uid in tracked:
                self.still_failed.append(uid)
                self.unfinalize.append(tracked[uid])
            else:
                self.stored_failed += 1
        for uid, pod in tracked.items():
            if uid in self.listed_succeeded or uid in self.listed_failed:
                continue
            if phase_of(pod) == "Succeeded":
                if not is_indexed(self.job):
                    self.still_succeeded.append(uid)
            elif over and not failed and is_pod_ending(pod):
                pass  # success was reached without it: it counts as nothing
            elif is_pod_failed(self.job, pod) or (over and failed and is_terminating(pod)):
                if uid not in self.ignored:
                    self.still_failed.append(uid)
            elif not is_terminating(self.job):
                continue
            self.unfinalize.append(pod)
        if is_indexed(self.job):
            self.stored_succeeded = len(self.succeeded_indexes)

    @property
    def is_settled(self) -> bool:
        return not self.unfinalize and not self.still_failed and not self.still_succeeded

    def uncounted_status(self) -> Object:
        lists = {"succeeded": self.still_succeeded, "failed": self.still_failed}
        return {key: value for key, value in lists.items() if value}

    def index_status(self) -> Object:
        if not is_indexed(self.job):
            return {}
        texts = {"completedIndexes": format_indexes(self.succeeded_indexes)}
        status = {key: value for key, value in texts.items() if value}
        if self.job["spec"].get("backoffLimitPerIndex") is not None:
            status["failedIndexes"] = format_indexes(self.failed_indexes)
        return status


def count_pods(job: Object, pods: Sequence[Object]) -> Counting:
    status = job.get("status") or {}
    uncounted = status.get("uncountedTerminatedPods") or {}
    listed_succeeded, listed_failed = set(uncounted.get("succeeded") or ()), set(uncounted.get("failed") or ())
    listed = listed_succeeded | listed_failed
    tracked = [pod for pod in pods if is_tracked(pod) and pod["metadata"]["uid"] not in listed]
    new_succeeded = [pod for pod in tracked if phase_of(pod) == "Succeeded"]
    new_failed = [pod for pod in tracked if is_pod_failed(job, pod)]
    policy = job["spec"].get("podFailurePolicy")
    ignored = {pod["metadata"]["uid"] for pod in new_failed if match_failure(policy, pod)[0] == "Ignore"}
    completions = int(job["spec"].get("completions") or 0)
    succeeded_indexes = parse_indexes(status.get("completedIndexes"), completions)
    failed_indexes = parse_indexes(status.get("failedIndexes"), completions)
    if is_indexed(job):
        for pod in new_succeeded:
            index = index_of(pod)
            if index is not None and index < completions:
                succeeded_indexes.add(index)
        failed_indexes |= _failed_indexes(job, new_failed) - succeeded_indexes
    return Counting(job, pods, listed_succeeded, listed_failed, new_succeeded, new_failed, ignored,
                    succeeded_indexes, failed_indexes)  # fmt: skip


def _failed_indexes(job: Object, failed: Sequence[Object]) -> set[int]:
    """Indexes that may not be tried again (only with backoffLimitPerIndex)."""
    limit = job["spec"].get("backoffLimitPerIndex")
    if limit is None:
        return set()
    found = set()
    for pod in failed:
        index = index_of(pod)
        if index is None:
            continue
        action = match_failure(job["spec"].get("podFailurePolicy"), pod)[0]
        if action == "FailIndex" or (action == "Count" and failure_count(pod) >= int(limit)):
            found.add(index)
    return found


def failure_count(pod: Object) -> int:
    """How often its index had failed before it."""
    text = annotations_of(pod).get(FAILURE_COUNT, "0")
    return int(text) if text.isdigit() else 0


def index_failures(pods: Sequence[Object], index: int) -> tuple[int, datetime | None]:
    """(failures of this index so far, the time of the last)."""
    failed = [pod for pod in pods if index_of(pod) == index and phase_of(pod) == "Failed"]
    ends = [at for pod in failed if (at := finished_at(pod)) is not None]
    return max((failure_count(pod) + 1 for pod in failed), default=0), max(ends, default=None)


def pending_indexes(
    job: Object, pods: Sequence[Object], count: int, counted: Counting, now: datetime
) -> tuple[list[int], float | None]:
    """The first ``count`` indexes that need a pod now, and how long until one that backs off may be tried."""
    completions = int(job["spec"].get("completions") or 0)
    replace_late = job["spec"].get("podReplacementPolicy") == "Failed"
    busy = {
        index_of(pod) for pod in pods if is_pod_active(pod) or (replace_late and is_pod_ending(pod))
    } | counted.succeeded_indexes | counted.failed_indexes  # fmt: skip
    found: list[int] = []
    waits: list[float] = []
    for index in range(completions):
        if len(found) >= count:
            break
        if index in busy:
            continue
        if job["spec"].get("backoffLimitPerIndex") is not None:
            failures, last = index_failures(pods, index)
            wait = Backoff(failures, last).remaining_seconds(now)
            if wait > 0:
                waits.append(wait)
                continue
        found.append(index)
    return found, min(waits, default=None)


def choose_surplus(
    job: Object, active: Sequence[Object], surplus: int, counted: Counting, now: datetime
) -> list[Object]:
    """Pods an Indexed Job has no use for (wrong or doubled index), then as many as are too many."""
    if not is_indexed(job):
        return pods_to_delete(active, (), surplus, now) if surplus > 0 else []
    completions = int(job["spec"].get("completions") or 0)
    chosen: list[Object] = []
    kept: dict[int, Object] = {}
    for pod in sorted(active, key=lambda pod: pod["metadata"].get("creationTimestamp") or ""):
        index = index_of(pod)
        useless = index is None or index >= completions or index in kept or index in counted.succeeded_indexes
        if useless:
            chosen.append(pod)
        elif index is not None:
            kept[index] = pod
    for index in sorted(kept, reverse=True):
        if len(chosen) >= surplus:
            break
        chosen.append(kept[index])
    return chosen

