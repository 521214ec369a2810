"""Whether a pod has to end, and why. Pure.

Once decided it stays decided: a later cause changes neither reason nor start, it may only shorten the grace. So a
second deletion with a shorter grace hurries the first, and nothing makes a dying pod live longer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from kubelet.observed import Ending
from kubelet.podspec import Pod, grace_period_seconds
from machinery.meta.objects import parse_time

DEADLINE_REASON = "DeadlineExceeded"
DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"


def decide_ending(
    pod: Pod, known: Ending | None, status: Mapping[str, Any], now: float, *, removed: bool
) -> Ending | None:
    """``removed``: the object is gone already. ``status`` is the newest one known."""
    if removed or pod["metadata"].get("deletionTimestamp"):
        grace = grace_period_seconds(pod)
        if known is None:
            return Ending(now, grace)
        return known if known.refused else dataclasses.replace(known, grace_seconds=min(known.grace_seconds, grace))
    if known is not None:
        return known
    if status.get("phase") in ("Succeeded", "Failed"):
        return Ending(now, grace_period_seconds(pod))
    at = deadline(pod, status)
    if at is not None and now >= at:
        return Ending(now, grace_period_seconds(pod), DEADLINE_REASON, DEADLINE_MESSAGE)
    return None


def deadline(pod: Pod, status: Mapping[str, Any]) -> float | None:
    """When the pod has been active for as long as it may."""
    seconds, started = pod["spec"].get("activeDeadlineSeconds"), status.get("startTime")
    return None if seconds is None or not started else parse_time(started).timestamp() + float(seconds)


def must_hurry(before: Pod, now: Pod) -> bool:
    """Whether what the pod waits for must be interrupted: a deletion that is new, or whose grace became shorter."""
    old, new = before["metadata"], now["metadata"]
    if not new.get("deletionTimestamp"):
        return False
    if not old.get("deletionTimestamp"):
        return True
    return int(new.get("deletionGracePeriodSeconds") or 0) < int(old.get("deletionGracePeriodSeconds") or 0)
