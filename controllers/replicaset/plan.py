"""How many pods a ReplicaSet (or ReplicationController) makes or removes, and what its status says. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from controllers.pods import is_pod_available, pods_to_delete
from machinery.meta.conditions import get_condition, is_pod_ready, remove_condition
from machinery.meta.objects import format_time, labels_of

Object = dict[str, Any]


@dataclass
class ReplicaPlan:
    create: int = 0
    delete: list[Object] = field(default_factory=list)


def desired_replicas(owner: Object) -> int:
    replicas = owner["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def plan_replicas(
    owner: Object, active: Sequence[Object], related: Iterable[Object], now: datetime, burst: int
) -> ReplicaPlan:
    """``related``: active pods of ReplicaSets of the same Deployment; the crowd a node's pods are counted in."""
    surplus = len(active) - desired_replicas(owner)
    if surplus < 0:
        return ReplicaPlan(create=min(-surplus, burst))
    if surplus > 0:
        return ReplicaPlan(delete=pods_to_delete(active, related, min(surplus, burst), now))
    return ReplicaPlan()


def compute_status(
    owner: Object, active: Sequence[Object], ending: int | None, failure: tuple[str, str] | None, now: datetime
) -> Object:
    """``ending``: terminating pods (None where the kind has no such field); ``failure``: (reason, message)."""
    spec, old = owner["spec"], owner.get("status") or {}
    wanted = (spec["template"].get("metadata") or {}).get("labels") or {}
    min_ready = int(spec.get("minReadySeconds") or 0)
    labelled = sum(1 for pod in active if wanted.items() <= labels_of(pod).items())
    ready = sum(1 for pod in active if is_pod_ready(pod))
    available = sum(1 for pod in active if is_pod_available(pod, min_ready, now))
    status: Object = {"replicas": len(active)}
    if labelled:
        status["fullyLabeledReplicas"] = labelled
    if ready:
        status["readyReplicas"] = ready
    if available:
        status["availableReplicas"] = available
    if ending is not None:
        status["terminatingReplicas"] = ending
    generation = owner["metadata"].get("generation")
    if generation:
        status["observedGeneration"] = generation
    conditions = list(old.get("conditions") or ())
    if failure is None:
        conditions = remove_condition(conditions, "ReplicaFailure")
    elif get_condition(conditions, "ReplicaFailure") is None:
        reason, message = failure
        conditions.append(
            {"type": "ReplicaFailure", "status": "True", "lastTransitionTime": format_time(now), "reason": reason,
             "message": message}
        )  # fmt: skip
    if conditions:
        status["conditions"] = conditions
    return status
