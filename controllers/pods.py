"""What every workload controller asks about a pod, and how a pod is made from a template. Pure.

The scale-down order is the one users see when they shrink a ReplicaSet; it is documented behaviour
(unscheduled first, then pending, not ready, cheap, crowded, young, restarted) and therefore lives in one place.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from machinery.meta.conditions import get_condition, is_pod_ready
from machinery.meta.objects import annotations_of, deep_copy, is_terminating, parse_time

Object = dict[str, Any]

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
FINISHED = ("Succeeded", "Failed")


def phase_of(pod: Object) -> str:
    return str(pod.get("status", {}).get("phase") or "")


def is_pod_finished(pod: Object) -> bool:
    return phase_of(pod) in FINISHED


def is_pod_active(pod: Object) -> bool:
    """Neither ended nor on the way out: the pods that count as replicas."""
    return not is_pod_finished(pod) and not is_terminating(pod)


def is_pod_ending(pod: Object) -> bool:
    """Marked for deletion, its containers not yet over (``terminatingReplicas``)."""
    return is_terminating(pod) and not is_pod_finished(pod)


def ready_since(pod: Object) -> datetime | None:
    condition = get_condition(pod.get("status", {}).get("conditions"), "Ready")
    if condition is None or condition.get("status") != "True" or not condition.get("lastTransitionTime"):
        return None
    return parse_time(condition["lastTransitionTime"])


def available_at(pod: Object, min_ready_seconds: int) -> datetime | None:
    """When a ready pod becomes available; None while it is not ready."""
    since = ready_since(pod)
    return None if since is None else since + timedelta(seconds=min_ready_seconds)


def is_pod_available(pod: Object, min_ready_seconds: int, now: datetime) -> bool:
    if not is_pod_ready(pod):
        return False
    if min_ready_seconds == 0:
        return True
    at = available_at(pod, min_ready_seconds)
    return at is not None and at <= now


def seconds_to_availability(pods: Iterable[Object], min_ready_seconds: int, now: datetime) -> float | None:
    """How long until the next ready pod becomes available; None when none is on the way."""
    waits = [
        (at - now).total_seconds()
        for pod in pods
        if min_ready_seconds > 0 and (at := available_at(pod, min_ready_seconds)) is not None and at > now
    ]
    return min(waits, default=None)


def deletion_cost(pod: Object) -> int:
    try:
        return int(annotations_of(pod).get(DELETION_COST, "0"))
    except ValueError:
        return 0


def restart_count(pod: Object) -> int:
    """The highest restart count of any of its containers."""
    status = pod.get("status", {})
    statuses = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    return max((int(item.get("restartCount") or 0) for item in statuses), default=0)


def _age_bucket(at: datetime | None, now: datetime) -> int:
    """Ages fall into powers of two: pods of about one age are equals, and their uid decides (spreads the loss)."""
    if at is None:
        return -1
    nanoseconds = (now - at).total_seconds() * 1e9
    return int(math.log2(nanoseconds)) if nanoseconds >= 1 else -1


def scale_down_rank(pod: Object, crowding: int, now: datetime) -> tuple[Any, ...]:
    """Sort key: what sorts first is deleted first. ``crowding``: related active pods on the same node."""
    ready = is_pod_ready(pod)
    created = parse_time(pod["metadata"]["creationTimestamp"]) if pod["metadata"].get("creationTimestamp") else now
    return (
        1 if pod.get("spec", {}).get("nodeName") else 0,
        {"Pending": 0, "Unknown": 1, "Running": 2}.get(phase_of(pod), 0),
        1 if ready else 0,
        deletion_cost(pod),
        -crowding,
        _age_bucket(ready_since(pod), now) if ready else 0,
        -restart_count(pod),
        _age_bucket(created, now),
        pod["metadata"].get("uid", ""),
    )


def pods_to_delete(pods: Sequence[Object], related: Iterable[Object], count: int, now: datetime) -> list[Object]:
    """The ``count`` pods a scale-down removes."""
    if count >= len(pods):
        return list(pods)
    per_node: dict[str, int] = {}
    for pod in related:
        if is_pod_active(pod) and (node := pod.get("spec", {}).get("nodeName")):
            per_node[node] = per_node.get(node, 0) + 1
    ranked = sorted(
        pods, key=lambda pod: scale_down_rank(pod, per_node.get(pod.get("spec", {}).get("nodeName") or "", 0), now)
    )
    return ranked[:count]


def pod_from_template(template: Object, owner: Object, reference: Object) -> Object:
    """A new pod of ``owner`` by its template; the name is left to the server."""
    meta = template.get("metadata") or {}
    metadata: Object = {
        "generateName": f"{owner['metadata']['name']}-",
        "namespace": owner["metadata"]["namespace"],
        "labels": dict(meta.get("labels") or {}),
        "ownerReferences": [dict(reference)],
    }
    if meta.get("annotations"):
        metadata["annotations"] = dict(meta["annotations"])
    if meta.get("finalizers"):
        metadata["finalizers"] = list(meta["finalizers"])
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": deep_copy(template["spec"])}
