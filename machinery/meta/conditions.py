"""Conditions: lists of ``{type, status, reason, message, lastTransitionTime}`` keyed by type.

``lastTransitionTime`` moves only when ``status`` changes; that is the one rule re-implementations forget.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Condition = dict[str, Any]


def get_condition(conditions: Sequence[Condition] | None, type_: str) -> Condition | None:
    for condition in conditions or ():
        if condition.get("type") == type_:
            return condition
    return None


def condition_is(conditions: Sequence[Condition] | None, type_: str, status: str = "True") -> bool:
    condition = get_condition(conditions, type_)
    return condition is not None and condition.get("status") == status


def set_condition(conditions: Sequence[Condition] | None, condition: Condition, now: str) -> list[Condition]:
    """A new list with ``condition`` in its place (or appended). ``now`` is a formatted metav1.Time."""
    wanted = dict(condition)
    current = get_condition(conditions, wanted["type"])
    if current is not None and current.get("status") == wanted["status"] and current.get("lastTransitionTime"):
        wanted["lastTransitionTime"] = current["lastTransitionTime"]
    else:
        wanted.setdefault("lastTransitionTime", now)
    if current is None:
        return [*(conditions or ()), wanted]
    return [wanted if item is current else item for item in conditions or ()]


def remove_condition(conditions: Sequence[Condition] | None, type_: str) -> list[Condition]:
    return [condition for condition in conditions or () if condition.get("type") != type_]


def is_pod_ready(pod: dict[str, Any]) -> bool:
    return condition_is(pod.get("status", {}).get("conditions"), "Ready")
