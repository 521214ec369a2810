"""The arithmetic of rollouts: surge, unavailability, who may grow, who must shrink. Pure numbers over plain dicts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from controllers.deployment.revisions import MAX_REPLICAS, age_key, replicas_of
from machinery.meta.objects import annotations_of

Object = dict[str, Any]


def resolve(value: int | str | None, total: int, *, round_up: bool) -> int:
    """An IntOrString against ``total``; percentages round as told."""
    if value is None:
        return 0
    if isinstance(value, int):
        return value
    if not value.endswith("%"):
        return int(value)
    exact = int(value[:-1]) * total / 100
    return math.ceil(exact) if round_up else math.floor(exact)


def fence_posts(deployment: Object) -> tuple[int, int]:
    """(maxSurge, maxUnavailable) as counts. Surge rounds up, unavailability down; both zero would never move."""
    rolling = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    desired = replicas_of(deployment)
    surge = resolve(rolling.get("maxSurge", "25%"), desired, round_up=True)
    unavailable = resolve(rolling.get("maxUnavailable", "25%"), desired, round_up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, unavailable


def is_rolling(deployment: Object) -> bool:
    return bool((deployment["spec"].get("strategy") or {}).get("type", "RollingUpdate") == "RollingUpdate")


def max_surge(deployment: Object) -> int:
    return fence_posts(deployment)[0] if is_rolling(deployment) else 0


def max_unavailable(deployment: Object) -> int:
    desired = replicas_of(deployment)
    if not is_rolling(deployment) or desired == 0:
        return 0
    return min(fence_posts(deployment)[1], desired)


def new_replicas(deployment: Object, sets: Sequence[Object], new_set_replicas: int) -> int:
    """How large the newest ReplicaSet may be now."""
    desired = replicas_of(deployment)
    if not is_rolling(deployment):
        return desired
    current = sum(replicas_of(item) for item in sets)
    room = desired + max_surge(deployment) - current
    if room <= 0:
        return new_set_replicas
    return new_set_replicas + min(room, desired - new_set_replicas)


def scale_down_old(deployment: Object, new: Object, old: Sequence[Object]) -> dict[str, int]:
    """New sizes (by name) of old ReplicaSets that must shrink: the unhealthy first, then what availability allows."""
    old_total = sum(replicas_of(item) for item in old)
    if old_total == 0:
        return {}
    minimum = replicas_of(deployment) - max_unavailable(deployment)
    new_unavailable = replicas_of(new) - available_of(new)
    budget = old_total + replicas_of(new) - minimum - new_unavailable
    if budget <= 0:
        return {}
    sizes = {item["metadata"]["name"]: replicas_of(item) for item in old}
    by_age = sorted(old, key=age_key)
    cleaned = 0
    for item in by_age:
        name = item["metadata"]["name"]
        unhealthy = min(budget - cleaned, sizes[name] - available_of(item))
        if unhealthy > 0:
            sizes[name] -= unhealthy
            cleaned += unhealthy
    available = sum(available_of(item) for item in [*old, new])
    surplus = available - minimum
    for item in by_age:
        name = item["metadata"]["name"]
        step = min(sizes[name], surplus)
        if step > 0:
            sizes[name] -= step
            surplus -= step
    return {item["metadata"]["name"]: sizes[item["metadata"]["name"]] for item in old
            if sizes[item["metadata"]["name"]] != replicas_of(item)}  # fmt: skip


def proportions(deployment: Object, active: Sequence[Object]) -> dict[str, int]:
    """Sizes of all active ReplicaSets when a Deployment is scaled in the middle of a rollout.

    Each gets its share of the change by its share of the replicas; the largest takes what rounding leaves.
    """
    desired = replicas_of(deployment)
    allowed = desired + max_surge(deployment) if desired > 0 else 0
    change = allowed - sum(replicas_of(item) for item in active)
    newest_first = change > 0
    ordered = sorted(active, key=age_key, reverse=newest_first)
    ordered.sort(key=replicas_of, reverse=True)
    sizes: dict[str, int] = {}
    added = 0
    for item in ordered:
        share = _share(deployment, item, change, added)
        sizes[item["metadata"]["name"]] = replicas_of(item) + share
        added += share
    if ordered and change != 0:
        first = ordered[0]["metadata"]["name"]
        sizes[first] = max(0, sizes[first] + change - added)
    return sizes


def _share(deployment: Object, item: Object, change: int, added: int) -> int:
    size = replicas_of(item)
    if size == 0 or change == 0 or change == added:
        return 0
    left = change - added
    fraction = _fraction(deployment, item)
    # A max-replicas annotation that somebody edited must not turn a growth into a cut.
    return max(0, min(fraction, left)) if change > 0 else min(0, max(fraction, left))


def _fraction(deployment: Object, item: Object) -> int:
    size = replicas_of(item)
    if replicas_of(deployment) == 0:
        return -size
    maximum = replicas_of(deployment) + max_surge(deployment)
    try:
        before = int(annotations_of(item)[MAX_REPLICAS])
    except (KeyError, ValueError):
        before = int(deployment.get("status", {}).get("replicas") or 0)
    if before == 0:
        return 0
    return math.floor(size * maximum / before + 0.5) - size


def available_of(item: Object) -> int:
    return int((item.get("status") or {}).get("availableReplicas") or 0)
