"""How many replicas a metric asks for. Pure.

The ratio of usage to target times the number of pods, with three cautions: a small deviation changes nothing; pods
without a metric are assumed to need nothing when growing and all when shrinking; pods that are not ready yet count as
idle when growing. A result that would turn the direction around is dropped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from controllers.pods import phase_of
from machinery.meta.conditions import get_condition
from machinery.meta.objects import is_terminating, parse_time

Object = dict[str, Any]

TOLERANCE = 0.1
CPU_INITIALIZATION = timedelta(minutes=5)
INITIAL_READINESS = timedelta(seconds=30)


class NoMetrics(Exception):
    """Nothing can be computed; the message says why."""


@dataclass(frozen=True)
class Target:
    """Exactly one is set: percent of the request, or an amount (in thousandths) a pod."""

    utilization: int | None = None
    average: int | None = None


@dataclass(frozen=True)
class PodUsage:
    """In thousandths; ``usage`` is None without a metric; ``ready``: its usage means something."""

    usage: int | None
    request: int
    ready: bool


@dataclass(frozen=True)
class Proposal:
    replicas: int
    average: int
    """Present usage a pod, in thousandths."""
    utilization: int | None = None


def propose(pods: Sequence[PodUsage], current: int, target: Target) -> Proposal:
    measured = [pod for pod in pods if pod.usage is not None and pod.ready]
    missing = [pod for pod in pods if pod.usage is None and pod.ready]
    unready = [pod for pod in pods if not pod.ready]
    if not measured:
        raise NoMetrics("did not receive metrics for targeted pods (pods might be unready)")
    ratio = _ratio([(pod.usage or 0, pod.request) for pod in measured], target)
    total = sum(pod.usage or 0 for pod in measured)
    average = total // len(measured)
    requests = sum(pod.request for pod in measured)
    utilization = total * 100 // requests if target.utilization is not None and requests else None

    def answer(replicas: int) -> Proposal:
        return Proposal(replicas, average, utilization)

    growing_with_unready = bool(unready) and ratio > 1
    if not growing_with_unready and not missing:
        return answer(current if _is_close(ratio) else _ceil(ratio * len(measured)))
    samples = [(pod.usage or 0, pod.request) for pod in measured]
    for pod in missing:
        samples.append((_assumed(pod, ratio, target), pod.request))
    if growing_with_unready:
        samples += [(0, pod.request) for pod in unready]
    adjusted = _ratio(samples, target)
    if _is_close(adjusted) or (ratio < 1) != (adjusted < 1):
        return answer(current)
    replicas = _ceil(adjusted * len(samples))
    turned = (adjusted < 1 and replicas > current) or (adjusted > 1 and replicas < current)
    return answer(current if turned else replicas)


def _assumed(pod: PodUsage, ratio: float, target: Target) -> int:
    if ratio >= 1:
        return 0
    if target.utilization is not None:
        return pod.request * max(100, target.utilization) // 100
    return target.average or 0


def _ratio(samples: Sequence[tuple[int, int]], target: Target) -> float:
    usage = sum(used for used, _ in samples)
    if target.utilization is not None:
        requests = sum(request for _, request in samples)
        if requests == 0:
            raise NoMetrics("no metrics returned matched known pods")
        return (usage * 100 // requests) / target.utilization
    return usage / len(samples) / (target.average or 1)


def _is_close(ratio: float) -> bool:
    return abs(1.0 - ratio) <= TOLERANCE


def _ceil(value: float) -> int:
    return math.ceil(value - 1e-9)


def is_counted(pod: Object) -> bool:
    return not is_terminating(pod) and phase_of(pod) != "Failed"


def is_settled(pod: Object, resource: str, measured_at: datetime | None, window_seconds: float, now: datetime) -> bool:
    """Whether the pod's usage says something: CPU of a starting pod is not its normal CPU."""
    if phase_of(pod) == "Pending":
        return False
    if resource != "cpu":
        return True
    status = pod.get("status", {})
    ready = get_condition(status.get("conditions"), "Ready")
    if ready is None or not status.get("startTime") or not ready.get("lastTransitionTime"):
        return False
    started, changed = parse_time(status["startTime"]), parse_time(ready["lastTransitionTime"])
    if started + CPU_INITIALIZATION > now:
        fresh = measured_at is None or measured_at >= changed + timedelta(seconds=window_seconds)
        return ready["status"] == "True" and fresh
    return ready["status"] == "True" or started + INITIAL_READINESS <= changed
