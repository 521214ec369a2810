"""What a Deployment's status says: counts, Available, Progressing, ReplicaFailure. Pure.

A Deployment's conditions differ from others in two ways that clients see: they carry ``lastUpdateTime``, and a
condition whose status or reason changes moves to the end of the list.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from controllers.deployment.math import max_unavailable
from controllers.deployment.revisions import replicas_of
from machinery.meta.conditions import get_condition, remove_condition
from machinery.meta.objects import format_time, parse_time

Object = dict[str, Any]
Condition = dict[str, Any]

NEVER = 2**31 - 1


def has_deadline(deployment: Object) -> bool:
    seconds = deployment["spec"].get("progressDeadlineSeconds")
    return seconds is not None and int(seconds) != NEVER


def make_condition(type_: str, status: str, reason: str, message: str, now: datetime) -> Condition:
    at = format_time(now)
    return {"type": type_, "status": status, "lastUpdateTime": at, "lastTransitionTime": at, "reason": reason,
            "message": message}  # fmt: skip


def put_condition(conditions: Sequence[Condition], condition: Condition) -> list[Condition]:
    current = get_condition(conditions, condition["type"])
    if current is not None:
        if current["status"] == condition["status"] and current.get("reason") == condition["reason"]:
            return list(conditions)
        if current["status"] == condition["status"] and current.get("lastTransitionTime"):
            condition = {**condition, "lastTransitionTime": current["lastTransitionTime"]}
    return [*remove_condition(conditions, condition["type"]), condition]


def _sum(sets: Sequence[Object], field: str) -> int:
    return sum(int((item.get("status") or {}).get(field) or 0) for item in sets)


def count(deployment: Object, sets: Sequence[Object], new: Object | None) -> Object:
    """Everything but the conditions."""
    old = deployment.get("status") or {}
    status: Object = {"observedGeneration": deployment["metadata"].get("generation")}
    total, available = _sum(sets, "replicas"), _sum(sets, "availableReplicas")
    counts = {
        "replicas": total, "updatedReplicas": _sum([new], "replicas") if new else 0,
        "readyReplicas": _sum(sets, "readyReplicas"), "availableReplicas": available,
        "unavailableReplicas": max(0, total - available),
    }  # fmt: skip
    status |= {key: value for key, value in counts.items() if value}
    if all(_tells_terminating(item) for item in sets):
        status["terminatingReplicas"] = _sum(sets, "terminatingReplicas")
    if old.get("collisionCount") is not None:
        status["collisionCount"] = old["collisionCount"]
    return status


def _tells_terminating(item: Object) -> bool:
    """One never reported on has no pods; one that was may come from a controller without the field."""
    status = item.get("status") or {}
    return status.get("terminatingReplicas") is not None or not status.get("observedGeneration")


def with_availability(
    deployment: Object, status: Object, conditions: Sequence[Condition], now: datetime
) -> list[Condition]:
    if status.get("availableReplicas", 0) >= replicas_of(deployment) - max_unavailable(deployment):
        condition = make_condition(
            "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", now
        )
    else:
        condition = make_condition(
            "Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.", now
        )
    return put_condition(conditions, condition)


def is_complete(deployment: Object, status: Object) -> bool:
    desired = replicas_of(deployment)
    return (
        status.get("updatedReplicas", 0) == desired and status.get("replicas", 0) == desired
        and status.get("availableReplicas", 0) == desired
        and (status.get("observedGeneration") or 0) >= (deployment["metadata"].get("generation") or 0)
    )  # fmt: skip


def is_progressing(deployment: Object, status: Object) -> bool:
    """More of the new, fewer of the old, or more ready than the last status said."""
    old = deployment.get("status") or {}

    def stale(which: Object) -> int:
        return int(which.get("replicas", 0)) - int(which.get("updatedReplicas", 0))

    return (
        status.get("updatedReplicas", 0) > old.get("updatedReplicas", 0) or stale(status) < stale(old)
        or status.get("readyReplicas", 0) > old.get("readyReplicas", 0)
        or status.get("availableReplicas", 0) > old.get("availableReplicas", 0)
    )  # fmt: skip


def deadline_of(deployment: Object, conditions: Sequence[Condition]) -> datetime | None:
    """When a rollout that makes no progress is called failed; None when no clock is running."""
    condition = get_condition(conditions, "Progressing")
    if condition is None or not has_deadline(deployment):
        return None
    if condition.get("reason") == "NewReplicaSetAvailable" or not condition.get("lastUpdateTime"):
        return None
    return parse_time(condition["lastUpdateTime"]) + timedelta(
        seconds=int(deployment["spec"]["progressDeadlineSeconds"])
    )


def with_progress(
    deployment: Object, status: Object, conditions: Sequence[Condition], new: Object | None, now: datetime
) -> list[Condition]:
    if not has_deadline(deployment):
        return remove_condition(conditions, "Progressing")
    current = get_condition(conditions, "Progressing")
    if (
        current is not None and current.get("reason") == "NewReplicaSetAvailable"
        and status.get("replicas", 0) == status.get("updatedReplicas", 0)
    ):  # fmt: skip
        return list(conditions)
    who = f'ReplicaSet "{new["metadata"]["name"]}"' if new else f'Deployment "{deployment["metadata"]["name"]}"'
    if is_complete(deployment, status):
        return put_condition(conditions, make_condition(
            "Progressing", "True", "NewReplicaSetAvailable", f"{who} has successfully progressed.", now
        ))  # fmt: skip
    if is_progressing(deployment, status):
        condition = make_condition("Progressing", "True", "ReplicaSetUpdated", f"{who} is progressing.", now)
        if current is not None and current["status"] == "True" and current.get("lastTransitionTime"):
            condition["lastTransitionTime"] = current["lastTransitionTime"]
        # Removed first: each step of progress restarts the deadline, also when the reason stays the same.
        return put_condition(remove_condition(conditions, "Progressing"), condition)
    deadline = deadline_of(deployment, conditions)
    if current is not None and (
        current.get("reason") == "ProgressDeadlineExceeded" or (deadline is not None and deadline < now)
    ):
        return put_condition(conditions, make_condition(
            "Progressing", "False", "ProgressDeadlineExceeded", f"{who} has timed out progressing.", now
        ))  # fmt: skip
    return list(conditions)


def with_failure(conditions: Sequence[Condition], sets: Sequence[Object], new: Object | None) -> list[Condition]:
    """The first ReplicaFailure of its ReplicaSets, the newest first, shown as the Deployment's own."""
    for item in [*([new] if new else []), *sets]:
        failure = get_condition((item.get("status") or {}).get("conditions"), "ReplicaFailure")
        if failure is not None:
            at = failure.get("lastTransitionTime")
            own = {"type": "ReplicaFailure", "status": failure["status"], "lastUpdateTime": at,
                   "lastTransitionTime": at, "reason": failure.get("reason", ""),
                   "message": failure.get("message", "")}  # fmt: skip
            return put_condition(conditions, own)
    return remove_condition(conditions, "ReplicaFailure")
