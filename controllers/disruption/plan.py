"""How many pods of a PodDisruptionBudget may be evicted now. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from controllers.deployment.math import resolve
from controllers.pods import is_pod_active
from machinery.meta.conditions import get_condition, is_pod_ready
from machinery.meta.objects import format_time, is_terminating, parse_time

Object = dict[str, Any]

#: An eviction that was granted and has not been seen by then did not happen.
DELETION_TIMEOUT = timedelta(minutes=2)


def needs_scale(budget: Object) -> bool:
    """Percentages and maxUnavailable refer to what the owners want, not to the pods that happen to exist."""
    spec = budget["spec"]
    return spec.get("maxUnavailable") is not None or isinstance(spec.get("minAvailable"), str)


def expected_and_desired(budget: Object, pods: Sequence[Object], scale: int) -> tuple[int, int]:
    """(expectedPods, desiredHealthy); ``scale``: replicas the pods' owners want in total."""
    spec = budget["spec"]
    if spec.get("maxUnavailable") is not None:
        unavailable = resolve(spec["maxUnavailable"], scale, round_up=True)
        return scale, max(0, scale - unavailable)
    minimum = spec.get("minAvailable")
    if isinstance(minimum, str):
        return scale, resolve(minimum, scale, round_up=True)
    return len(pods), int(minimum if minimum is not None else 1)


def live_disruptions(budget: Object, pods: Sequence[Object], now: datetime) -> tuple[dict[str, str], float | None]:
    """Granted evictions whose pods are still there, and how long until the first of them times out."""
    noted = (budget.get("status") or {}).get("disruptedPods") or {}
    by_name = {pod["metadata"]["name"]: pod for pod in pods}
    live: dict[str, str] = {}
    waits: list[float] = []
    for name, at in noted.items():
        pod = by_name.get(name)
        if pod is None or is_terminating(pod):
            continue
        left = (parse_time(at) + DELETION_TIMEOUT - now).total_seconds()
        if left > 0:
            live[name] = at
            waits.append(left)
    return live, min(waits, default=None)


def compute_status(
    budget: Object, pods: Sequence[Object], scale: int, now: datetime
) -> tuple[Object, float | None]:
    """``pods``: all that match and are not finished."""
    pods = [pod for pod in pods if is_pod_active(pod) or is_terminating(pod)]
    disrupted, recheck = live_disruptions(budget, pods, now)
    healthy = sum(
        1 for pod in pods
        if is_pod_active(pod) and is_pod_ready(pod) and pod["metadata"]["name"] not in disrupted
    )  # fmt: skip
    expected, desired = expected_and_desired(budget, pods, scale)
    allowed = healthy - desired
    if expected <= 0 or allowed <= 0:
        allowed = 0
    generation = budget["metadata"].get("generation")
    status: Object = {
        "observedGeneration": generation, "disruptionsAllowed": allowed, "currentHealthy": healthy,
        "desiredHealthy": desired, "expectedPods": expected,
    }  # fmt: skip
    if disrupted:
        status["disruptedPods"] = disrupted
    verdict = ("True", "SufficientPods") if allowed > 0 else ("False", "InsufficientPods")
    status["conditions"] = with_condition(budget, *verdict, "", now)
    return status, recheck


def failed_status(budget: Object, message: str, now: datetime) -> Object:
    """Nothing may be evicted while we do not know how many there should be."""
    status = dict(budget.get("status") or {})
    for name in ("currentHealthy", "desiredHealthy", "expectedPods"):
        status.setdefault(name, 0)
    status |= {"disruptionsAllowed": 0, "observedGeneration": budget["metadata"].get("generation")}
    status["conditions"] = with_condition(budget, "False", "SyncFailed", message, now)
    return status


def with_condition(budget: Object, status: str, reason: str, message: str, now: datetime) -> list[Object]:
    conditions = list((budget.get("status") or {}).get("conditions") or ())
    current = get_condition(conditions, "DisruptionAllowed")
    made: Object = {
        "type": "DisruptionAllowed", "status": status, "observedGeneration": budget["metadata"].get("generation"),
        "lastTransitionTime": format_time(now), "reason": reason, "message": message,
    }  # fmt: skip
    if current is None:
        return [*conditions, made]
    if current["status"] == status:
        made["lastTransitionTime"] = current["lastTransitionTime"]
    return [made if item is current else item for item in conditions]
