"""When a finished Job has lived long enough. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from machinery.meta.conditions import get_condition
from machinery.meta.objects import is_terminating, parse_time

Object = dict[str, Any]


def remaining_seconds(job: Object, now: datetime) -> float | None:
    """Zero or less: delete it; None: it has no such limit, has not finished, or is going anyway."""
    ttl = job["spec"].get("ttlSecondsAfterFinished")
    if ttl is None or is_terminating(job):
        return None
    for type_ in ("Complete", "Failed"):
        condition = get_condition((job.get("status") or {}).get("conditions"), type_)
        if condition is not None and condition.get("status") == "True" and condition.get("lastTransitionTime"):
            return int(ttl) - (now - parse_time(condition["lastTransitionTime"])).total_seconds()
    return None
