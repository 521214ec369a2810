"""Where a DaemonSet makes and removes pods, how an update walks over the nodes, what the status says. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from controllers.daemonset.template import target_node, with_daemon_tolerations
from controllers.deployment.math import resolve
from controllers.history import NAME_LABEL
from controllers.node_fit import matches_node, taints_of, untolerated
from controllers.pods import is_pod_available, phase_of
from machinery.meta.conditions import is_pod_ready
from machinery.meta.objects import is_terminating, labels_of

Object = dict[str, Any]


@dataclass
class DaemonPlan:
    create_on: list[str] = field(default_factory=list)
    delete: list[Object] = field(default_factory=list)
    failed: list[Object] = field(default_factory=list)
    """Failed or succeeded pods among ``delete``: the controller tells about them and backs off."""


def should_run(daemon_set: Object, node: Object) -> tuple[bool, bool]:
    """(a pod belongs here, one that is here may stay)."""
    spec = daemon_set["spec"]["template"]["spec"]
    if not matches_node(spec, node):
        return False, False
    tolerations = with_daemon_tolerations(spec)
    if untolerated(taints_of(node), tolerations, ("NoSchedule", "NoExecute")) is None:
        return True, True
    return False, untolerated(taints_of(node), tolerations, ("NoExecute",)) is None


def pods_by_node(pods: Iterable[Object]) -> dict[str, list[Object]]:
    found: dict[str, list[Object]] = {}
    for pod in pods:
        if node := target_node(pod):
            found.setdefault(node, []).append(pod)
    return found


def plan_placement(
    daemon_set: Object, nodes: Sequence[Object], on_node: Mapping[str, Sequence[Object]], digest: str
) -> DaemonPlan:
    """Which nodes need a pod, which pods are too many."""
    plan = DaemonPlan()
    surge = _surge(daemon_set, len(nodes)) > 0
    known = {node["metadata"]["name"] for node in nodes}
    for node in nodes:
        name = node["metadata"]["name"]
        wanted, may_stay = should_run(daemon_set, node)
        pods = on_node.get(name, ())
        if wanted and not pods:
            plan.create_on.append(name)
        elif may_stay:
            running: list[Object] = []
            for pod in pods:
                if is_terminating(pod):
                    continue
                if phase_of(pod) in ("Failed", "Succeeded"):
                    plan.delete.append(pod)
                    plan.failed.append(pod)
                else:
                    running.append(pod)
            plan.delete += _duplicates(running, digest, surge)
        else:
            plan.delete += [pod for pod in pods if not is_terminating(pod)]
    for name, pods in on_node.items():
        if name not in known:
            # The node is gone: pods that never ran there go; the pod collector takes the bound ones.
            plan.delete += [pod for pod in pods if not pod["spec"].get("nodeName") and not is_terminating(pod)]
    return plan


def _duplicates(running: list[Object], digest: str, surge: bool) -> list[Object]:
    """All but the oldest; during a surge one old and one new pod may share a node."""
    ordered = sorted(running, key=lambda pod: (pod["metadata"].get("creationTimestamp") or "", pod["metadata"]["name"]))
    if len(ordered) <= 1:
        return []
    if not surge:
        return ordered[1:]
    new = [pod for pod in ordered if _is_new(pod, digest)]
    old = [pod for pod in ordered if not _is_new(pod, digest)]
    return new[1:] + old[1:]


def _is_new(pod: Object, digest: str) -> bool:
    return labels_of(pod).get(NAME_LABEL) == digest


def _limits(daemon_set: Object) -> tuple[Any, Any]:
    rolling = (daemon_set["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
    return rolling.get("maxSurge", 0), rolling.get("maxUnavailable", 1)


def _surge(daemon_set: Object, desired: int) -> int:
    if (daemon_set["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate") != "RollingUpdate":
        return 0
    return resolve(_limits(daemon_set)[0], desired, round_up=True)


def plan_update(
    daemon_set: Object, nodes: Sequence[Object], on_node: Mapping[str, Sequence[Object]], digest: str, now: datetime
) -> DaemonPlan:
    """One step of a rolling update; nothing for OnDelete."""
    strategy = (daemon_set["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate")
    if strategy != "RollingUpdate":
        return DaemonPlan()
    eligible = [node["metadata"]["name"] for node in nodes if should_run(daemon_set, node)[0]]
    surge = _surge(daemon_set, len(eligible))
    unavailable = resolve(_limits(daemon_set)[1], len(eligible), round_up=True)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    min_ready = int(daemon_set["spec"].get("minReadySeconds") or 0)

    def available(pod: Object) -> bool:
        return not is_terminating(pod) and is_pod_available(pod, min_ready, now)

    if surge:
        return _plan_surge(eligible, on_node, digest, surge, available)
    plan = DaemonPlan()
    candidates: list[Object] = []
    down = 0
    for name in eligible:
        pods = on_node.get(name, ())
        new = [pod for pod in pods if _is_new(pod, digest)]
        old = [pod for pod in pods if not _is_new(pod, digest)]
        if new or not old:
            down += 0 if any(available(pod) for pod in new) else 1
        elif not any(available(pod) for pod in old):
            # It serves nobody: replacing it costs nothing.
            down += 1
            plan.delete += [pod for pod in old if not is_terminating(pod)]
        else:
            candidates += old
    plan.delete += candidates[: max(0, unavailable - down)]
    return plan


def _plan_surge(
    eligible: Sequence[str], on_node: Mapping[str, Sequence[Object]], digest: str, surge: int, available: Any
) -> DaemonPlan:
    """Surge: the new pod comes first; the old one leaves when the new one is available."""
    plan = DaemonPlan()
    waiting: list[str] = []
    surging = 0
    for name in eligible:
        pods = on_node.get(name, ())
        new = [pod for pod in pods if _is_new(pod, digest)]
        old = [pod for pod in pods if not _is_new(pod, digest) and not is_terminating(pod)]
        if not old:
            continue
        if new:
            if any(available(pod) for pod in new):
                plan.delete += old
            else:
                surging += 1
        elif any(available(pod) for pod in old):
            waiting.append(name)
        else:
            plan.create_on.append(name)
    plan.create_on += waiting[: max(0, surge - surging)]
    return plan


def compute_status(
    daemon_set: Object, nodes: Sequence[Object], on_node: Mapping[str, Sequence[Object]], digest: str, now: datetime
) -> Object:
    min_ready = int(daemon_set["spec"].get("minReadySeconds") or 0)
    desired = current = misscheduled = ready = updated = available = 0
    for node in nodes:
        pods = on_node.get(node["metadata"]["name"], ())
        if should_run(daemon_set, node)[0]:
            desired += 1
            if not pods:
                continue
            current += 1
            first = min(pods, key=lambda pod: (pod["metadata"].get("creationTimestamp") or "", pod["metadata"]["name"]))
            if is_pod_ready(first):
                ready += 1
                available += 1 if is_pod_available(first, min_ready, now) else 0
            updated += 1 if _is_new(first, digest) else 0
        elif pods:
            misscheduled += 1
    status: Object = {
        "currentNumberScheduled": current, "numberMisscheduled": misscheduled, "desiredNumberScheduled": desired,
        "numberReady": ready, "observedGeneration": daemon_set["metadata"].get("generation"),
    }  # fmt: skip
    counts = {
        "updatedNumberScheduled": updated, "numberAvailable": available, "numberUnavailable": desired - available,
    }  # fmt: skip
    status |= {key: value for key, value in counts.items() if value}
    for key in ("collisionCount", "conditions"):
        if (daemon_set.get("status") or {}).get(key):
            status[key] = daemon_set["status"][key]
    return status
