"""When a pod must leave its node because of NoExecute taints. Pure.

The deadline follows from what is written down (when the taint came, when the pod was bound), not from when this process
noticed: a restart of the controller neither shortens nor prolongs a toleration.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from controllers.node_fit import tolerates
from machinery.meta.conditions import get_condition
from machinery.meta.objects import parse_time

Object = dict[str, Any]


def no_execute_taints(node: Object | None) -> list[Object]:
    taints = (node or {}).get("spec", {}).get("taints") or ()
    return [taint for taint in taints if taint.get("effect") == "NoExecute"]


def bound_at(pod: Object) -> datetime | None:
    condition = get_condition(pod.get("status", {}).get("conditions"), "PodScheduled")
    if condition is not None and condition.get("status") == "True" and condition.get("lastTransitionTime"):
        return parse_time(condition["lastTransitionTime"])
    created = pod["metadata"].get("creationTimestamp")
    return parse_time(created) if created else None


def eviction_at(pod: Object, taints: list[Object], now: datetime) -> datetime | None:
    """When to delete the pod; None: it may stay for ever."""
    if not taints:
        return None
    tolerations = pod["spec"].get("tolerations") or ()
    seconds: list[int] = []
    for taint in taints:
        match = next((item for item in tolerations if tolerates(item, taint)), None)
        if match is None:
            return now
        if match.get("tolerationSeconds") is not None:
            seconds.append(max(0, int(match["tolerationSeconds"])))
    if not seconds:
        return None
    starts = [parse_time(taint["timeAdded"]) for taint in taints if taint.get("timeAdded")]
    start = max(starts, default=now)
    bound = bound_at(pod)
    if bound is not None and bound > start:
        start = bound
    return start + timedelta(seconds=min(seconds))
