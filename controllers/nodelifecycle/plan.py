"""What a node's heartbeat (or silence) means: conditions, taints, and how fast whole zones may be evicted. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from machinery.meta.conditions import get_condition
from machinery.meta.objects import format_time, labels_of

Object = dict[str, Any]

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
#: condition type -> status -> taint key with effect NoSchedule
CONDITION_TAINTS = {
    "Ready": {"False": NOT_READY, "Unknown": UNREACHABLE},
    "MemoryPressure": {"True": "node.kubernetes.io/memory-pressure"},
    "DiskPressure": {"True": "node.kubernetes.io/disk-pressure"},
    "PIDPressure": {"True": "node.kubernetes.io/pid-pressure"},
    "NetworkUnavailable": {"True": "node.kubernetes.io/network-unavailable"},
}
OWN_KEYS = {key for by_status in CONDITION_TAINTS.values() for key in by_status.values()} | {UNSCHEDULABLE}
WATCHED_CONDITIONS = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")

NORMAL, PARTIAL, FULL = "Normal", "PartialDisruption", "FullDisruption"


def ready_status(node: Object) -> str:
    """True, False, Unknown; "" while the node has never said."""
    condition = get_condition(node.get("status", {}).get("conditions"), "Ready")
    return str(condition.get("status", "")) if condition is not None else ""


def silent_conditions(node: Object, now: datetime) -> list[Object] | None:
    """The conditions of a node that has been silent too long; None when they say so already."""
    conditions = list(node.get("status", {}).get("conditions") or ())
    at, changed = format_time(now), False
    for type_ in WATCHED_CONDITIONS:
        current = get_condition(conditions, type_)
        if current is None:
            conditions.append({
                "type": type_, "status": "Unknown", "lastHeartbeatTime": node["metadata"].get("creationTimestamp"),
                "lastTransitionTime": at, "reason": "NodeStatusNeverUpdated",
                "message": "Kubelet never posted node status.",
            })  # fmt: skip
            changed = True
        elif current.get("status") != "Unknown":
            silent = {**current, "status": "Unknown", "lastTransitionTime": at, "reason": "NodeStatusUnknown",
                      "message": "Kubelet stopped posting node status."}  # fmt: skip
            conditions = [silent if item is current else item for item in conditions]
            changed = True
    return conditions if changed else None


def wanted_no_schedule(node: Object) -> set[str]:
    wanted = set()
    for condition in node.get("status", {}).get("conditions") or ():
        key = CONDITION_TAINTS.get(condition["type"], {}).get(condition.get("status", ""))
        if key:
            wanted.add(key)
    if node.get("spec", {}).get("unschedulable"):
        wanted.add(UNSCHEDULABLE)
    return wanted


def wanted_no_execute(node: Object) -> str | None:
    return {"False": NOT_READY, "Unknown": UNREACHABLE}.get(ready_status(node))


def plan_taints(node: Object, now: datetime, *, may_evict: bool) -> list[Object] | None:
    """The node's taints as they should be; None when they are.

    ``may_evict``: the zone's rate lets this node get its first NoExecute taint now. Changing one NoExecute taint for
    the other, and taking it away, is always allowed.
    """
    taints = list(node.get("spec", {}).get("taints") or ())
    at = format_time(now)
    schedule, execute = wanted_no_schedule(node), wanted_no_execute(node)
    has_execute = any(_is_own(taint, "NoExecute", (NOT_READY, UNREACHABLE)) for taint in taints)
    kept: list[Object] = []
    for taint in taints:
        if _is_own(taint, "NoSchedule", OWN_KEYS):
            if taint["key"] not in schedule:
                continue
            schedule.discard(taint["key"])
        elif _is_own(taint, "NoExecute", (NOT_READY, UNREACHABLE)):
            if taint["key"] != execute:
                continue
            execute = None
        kept.append(taint)
    kept += [{"key": key, "effect": "NoSchedule", "timeAdded": at} for key in sorted(schedule)]
    if execute is not None and (may_evict or has_execute):
        kept.append({"key": execute, "effect": "NoExecute", "timeAdded": at})
    return kept if kept != taints else None


def needs_first_no_execute(node: Object) -> bool:
    """Not ready, and no NoExecute taint of ours yet: adding one is subject to the zone's rate."""
    taints = node.get("spec", {}).get("taints") or ()
    return wanted_no_execute(node) is not None and not any(
        _is_own(taint, "NoExecute", (NOT_READY, UNREACHABLE)) for taint in taints
    )


def _is_own(taint: Object, effect: str, keys: Collection[str]) -> bool:
    return taint.get("effect") == effect and taint.get("key") in keys


def zone_of(node: Object) -> str:
    labels = labels_of(node)
    region = labels.get("topology.kubernetes.io/region", labels.get("failure-domain.beta.kubernetes.io/region", ""))
    zone = labels.get("topology.kubernetes.io/zone", labels.get("failure-domain.beta.kubernetes.io/zone", ""))
    return f"{region}:{zone}"


def zone_state(nodes: Sequence[Object], unhealthy_threshold: float) -> str:
    """Nodes that never reported count as not ready only once their conditions say so."""
    not_ready = sum(1 for node in nodes if ready_status(node) in ("False", "Unknown"))
    ready = len(nodes) - not_ready
    if ready == 0 and not_ready > 0:
        return FULL
    if not_ready > 2 and not_ready / len(nodes) >= unhealthy_threshold:
        return PARTIAL
    return NORMAL


def eviction_rate(
    state: str, size: int, *, all_down: bool, rate: float, secondary_rate: float, large_size: int
) -> float:
    """Nodes a second of a zone that may be evicted. Without any ready node in the cluster none is."""
    if all_down:
        return 0.0
    if state == PARTIAL:
        return secondary_rate if size > large_size else 0.0
    return rate


@dataclass
class Bucket:
    """A token bucket of size one: the first eviction of a quiet zone is immediate."""

    tokens: float = 1.0
    at: float = 0.0

    def try_take(self, now: float, rate: float) -> float:
        """0 when a token was taken; else seconds to wait (inf when the rate is zero)."""
        self.tokens = min(1.0, self.tokens + (now - self.at) * rate)
        self.at = now
        if rate <= 0:
            return float("inf")
        if self.tokens >= 1.0 - 1e-9:
            self.tokens -= 1.0
            return 0.0
        return (1.0 - self.tokens) / rate
