"""One step of a StatefulSet: in order, one at a time, unless it is Parallel. Pure.

The rules, from the first ordinal up: a missing pod is made; a pod that ended is deleted to be made anew; in order,
the next is only looked at when this one is ready and not on its way out. Then, from the last down: what is beyond the
wanted number goes. Only when all that has come to rest does a rolling update delete the next pod of an old revision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from controllers.pods import is_pod_available, is_pod_finished, phase_of
from controllers.statefulset.identity import ordinal_of, revision_of, start_ordinal
from machinery.meta.conditions import is_pod_ready
from machinery.meta.objects import is_terminating

Object = dict[str, Any]


@dataclass
class StatefulPlan:
    create: list[tuple[int, str]] = field(default_factory=list)
    """(ordinal, "current" or "update")"""
    delete: list[Object] = field(default_factory=list)
    condemned: list[Object] = field(default_factory=list)
    """Pods beyond the wanted number, whether deleted now or later: their claims follow the retention policy."""


@dataclass(frozen=True)
class Revisions:
    """Names of the ControllerRevisions that are current and aimed at."""

    current: str
    update: str


def desired_replicas(stateful_set: Object) -> int:
    replicas = stateful_set["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def is_ordered(stateful_set: Object) -> bool:
    return bool(stateful_set["spec"].get("podManagementPolicy", "OrderedReady") == "OrderedReady")


def is_running_and_ready(pod: Object) -> bool:
    return phase_of(pod) == "Running" and is_pod_ready(pod)


def partition_of(stateful_set: Object) -> int:
    rolling = (stateful_set["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
    return int(rolling.get("partition") or 0)


def is_rolling(stateful_set: Object) -> bool:
    return bool(
        (stateful_set["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate") == "RollingUpdate"
    )


def version_for(stateful_set: Object, ordinal: int) -> str:
    """Which revision a new pod gets: below the partition the current one."""
    if is_rolling(stateful_set) and ordinal < start_ordinal(stateful_set) + partition_of(stateful_set):
        return "current"
    return "update"


def plan_stateful(stateful_set: Object, pods: Sequence[Object], revisions: Revisions, now: datetime) -> StatefulPlan:
    plan = StatefulPlan()
    start = start_ordinal(stateful_set)
    wanted = range(start, start + desired_replicas(stateful_set))
    by_ordinal = {number: pod for pod in pods if (number := ordinal_of(stateful_set, pod)) is not None}
    plan.condemned = [by_ordinal[number] for number in sorted(by_ordinal, reverse=True) if number not in wanted]
    if is_terminating(stateful_set):
        return plan
    ordered = is_ordered(stateful_set)
    min_ready = int(stateful_set["spec"].get("minReadySeconds") or 0)
    for ordinal in wanted:
        pod = by_ordinal.get(ordinal)
        if pod is None:
            plan.create.append((ordinal, version_for(stateful_set, ordinal)))
        elif is_pod_finished(pod):
            if not is_terminating(pod):
                plan.delete.append(pod)
        elif not is_terminating(pod) and is_running_and_ready(pod) and is_pod_available(pod, min_ready, now):
            continue
        if ordered:
            return plan
    if ordered:
        _condemn_next(plan, by_ordinal)
        if plan.condemned:
            return plan
    else:
        plan.delete += [pod for pod in plan.condemned if not is_terminating(pod)]
    if not plan.create and not plan.delete and is_rolling(stateful_set):
        _roll_next(plan, stateful_set, by_ordinal, wanted, revisions)
    return plan


def _condemn_next(plan: StatefulPlan, by_ordinal: dict[int, Object]) -> None:
    """The last pod goes first; the next one when it is gone, and never past an unhealthy one (except that one)."""
    unhealthy = [
        number for number, pod in by_ordinal.items() if not is_running_and_ready(pod) or is_terminating(pod)
    ]
    first_unhealthy = by_ordinal[min(unhealthy)] if unhealthy else None
    for pod in plan.condemned:
        if is_terminating(pod):
            return
        if not is_running_and_ready(pod) and pod is not first_unhealthy:
            return
        plan.delete.append(pod)
        return


def _roll_next(
    plan: StatefulPlan, stateful_set: Object, by_ordinal: dict[int, Object], wanted: range, revisions: Revisions
) -> None:
    """From the last ordinal down to the partition: delete the next old pod, but wait for whoever is not well."""
    for ordinal in reversed(wanted):
        if ordinal < start_ordinal(stateful_set) + partition_of(stateful_set):
            return
        pod = by_ordinal.get(ordinal)
        if pod is None:
            return
        if revision_of(pod) != revisions.update and not is_terminating(pod):
            plan.delete.append(pod)
            return
        if is_terminating(pod) or not is_running_and_ready(pod):
            return


def compute_status(
    stateful_set: Object, pods: Sequence[Object], revisions: Revisions, collision_count: int, now: datetime
) -> Object:
    min_ready = int(stateful_set["spec"].get("minReadySeconds") or 0)
    live = [pod for pod in pods if not is_terminating(pod)]
    counts = {
        "readyReplicas": sum(1 for pod in pods if is_running_and_ready(pod)),
        "currentReplicas": sum(1 for pod in live if revision_of(pod) == revisions.current),
        "updatedReplicas": sum(1 for pod in live if revision_of(pod) == revisions.update),
    }
    current = revisions.current
    settled = counts["updatedReplicas"] == len(pods) == counts["readyReplicas"]
    if is_rolling(stateful_set) and settled and current != revisions.update:
        counts["currentReplicas"], current = counts["updatedReplicas"], revisions.update
    available = sum(
        1 for pod in pods if is_running_and_ready(pod) and is_pod_available(pod, min_ready, now)
    )
    status: Object = {
        "observedGeneration": stateful_set["metadata"].get("generation"), "replicas": len(pods),
        "availableReplicas": available, "currentRevision": current, "updateRevision": revisions.update,
        "collisionCount": collision_count,
    }  # fmt: skip
    status |= {name: number for name, number in counts.items() if number}
    conditions = (stateful_set.get("status") or {}).get("conditions")
    return status | ({"conditions": conditions} if conditions else {})


def claim_owner(stateful_set: Object, pod: Object | None, *, condemned: bool) -> str:
    """Who a claim dies with by the retention policy: "set", "pod" or "" (nobody)."""
    policy = stateful_set["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
    if condemned and policy.get("whenScaled") == "Delete":
        return "pod" if pod is not None else ""
    return "set" if policy.get("whenDeleted") == "Delete" else ""
