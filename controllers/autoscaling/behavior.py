"""From what the metrics ask for to what may be done: stabilization windows, rates, bounds. Pure.

Recommendations and past changes are remembered by the controller in memory, as upstream does: after a restart the
stabilization window starts empty, and the present size counts as the first recommendation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

Object = dict[str, Any]

UP: Object = {
    "stabilizationWindowSeconds": 0, "selectPolicy": "Max",
    "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15},
                 {"type": "Percent", "value": 100, "periodSeconds": 15}],
}  # fmt: skip
DOWN: Object = {
    "stabilizationWindowSeconds": 300, "selectPolicy": "Max",
    "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
}  # fmt: skip
REMEMBERED = timedelta(hours=1)


@dataclass
class Memory:
    recommendations: list[tuple[datetime, int]] = field(default_factory=list)
    changes: list[tuple[datetime, int]] = field(default_factory=list)
    """(when, by how many replicas; negative: down)"""

    def forget_before(self, at: datetime) -> None:
        self.recommendations = [item for item in self.recommendations if item[0] >= at]
        self.changes = [item for item in self.changes if item[0] >= at]


@dataclass(frozen=True)
class Allowed:
    replicas: int
    stabilized: bool
    limited: str
    """Reason of ScalingLimited, "" when the wish is within all bounds."""
    message: str


def rules_of(hpa: Object, direction: str) -> Object:
    default = UP if direction == "scaleUp" else DOWN
    given = (hpa["spec"].get("behavior") or {}).get(direction) or {}
    return {**default, **{key: value for key, value in given.items() if value is not None}}


def allow(hpa: Object, current: int, wished: int, memory: Memory, now: datetime) -> Allowed:
    """``memory`` already holds this wish among its recommendations."""
    up, down = rules_of(hpa, "scaleUp"), rules_of(hpa, "scaleDown")
    steady = _stabilize(current, wished, up, down, memory, now)
    minimum, maximum = bounds(hpa)
    if steady > current:
        rate = _up_limit(current, up, memory.changes, now)
        if steady > min(maximum, rate):
            if rate < maximum:
                message = "the desired replica count is increasing faster than the maximum scale rate"
                return Allowed(max(current, rate), steady != wished, "ScaleUpLimit", message)
            return Allowed(maximum, steady != wished, "TooManyReplicas",
                           "the desired replica count is more than the maximum replica count")  # fmt: skip
    elif steady < current:
        rate = _down_limit(current, down, memory.changes, now)
        if steady < max(minimum, rate):
            if rate > minimum:
                message = "the desired replica count is decreasing faster than the maximum scale rate"
                return Allowed(min(current, rate), steady != wished, "ScaleDownLimit", message)
            return Allowed(minimum, steady != wished, "TooFewReplicas",
                           "the desired replica count is less than the minimum replica count")  # fmt: skip
    return Allowed(steady, steady != wished, "", "the desired count is within the acceptable range")


def bounds(hpa: Object) -> tuple[int, int]:
    minimum = hpa["spec"].get("minReplicas")
    return (1 if minimum is None else int(minimum)), int(hpa["spec"]["maxReplicas"])


def _stabilize(current: int, wished: int, up: Object, down: Object, memory: Memory, now: datetime) -> int:
    """Grow to the least, shrink to the most that was asked for within the window."""
    low = high = wished
    for at, replicas in memory.recommendations:
        age = (now - at).total_seconds()
        if age <= up["stabilizationWindowSeconds"]:
            low = min(low, replicas)
        if age <= down["stabilizationWindowSeconds"]:
            high = max(high, replicas)
    if current < low:
        return low
    return min(current, high) if current > high else current


def _base(current: int, policy: Object, changes: Sequence[tuple[datetime, int]], now: datetime, sign: int) -> int:
    """The size at the beginning of the policy's period."""
    since = now - timedelta(seconds=policy["periodSeconds"])
    return current - sum(by for at, by in changes if at >= since and by * sign > 0)


def _up_limit(current: int, rules: Object, changes: Sequence[tuple[datetime, int]], now: datetime) -> int:
    if rules["selectPolicy"] == "Disabled":
        return current
    limits: list[int] = []
    for policy in rules["policies"]:
        base = _base(current, policy, changes, now, 1)
        grown = base * (1 + policy["value"] / 100) if policy["type"] == "Percent" else base + policy["value"]
        limits.append(math.ceil(grown - 1e-9))
    return min(limits) if rules["selectPolicy"] == "Min" else max(limits)


def _down_limit(current: int, rules: Object, changes: Sequence[tuple[datetime, int]], now: datetime) -> int:
    if rules["selectPolicy"] == "Disabled":
        return current
    limits: list[int] = []
    for policy in rules["policies"]:
        base = _base(current, policy, changes, now, -1)
        shrunk = base * (1 - policy["value"] / 100) if policy["type"] == "Percent" else base - policy["value"]
        limits.append(max(0, math.floor(shrunk + 1e-9)))
    return max(limits) if rules["selectPolicy"] == "Min" else min(limits)
