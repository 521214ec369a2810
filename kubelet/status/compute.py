"""`compute_status`: the whole of a pod's status, merged with what is not the agent's to change.

The result depends on nothing but its arguments, and computing it again from the written status gives the same status
again: that is what lets one writer compare and skip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubelet.observed import Observed
from kubelet.plan.actions import Waiting
from kubelet.podspec import (
    Pod,
    app_containers,
    ephemeral_containers,
    init_containers,
    is_host_network,
    is_sidecar,
    qos_class,
)
from kubelet.status.conditions import OWNED, compute_conditions
from kubelet.status.containers import compute_container_statuses
from kubelet.status.phase import FAILED, any_has_run, compute_phase
from kubelet.status.times import time_text

Status = dict[str, Any]

#: Parts of the status that others write; they pass through.
FOREIGN = ("nominatedNodeName", "resourceClaimStatuses", "extendedResourceClaimStatus", "resize")


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a pod's status says about its node."""

    host_ips: tuple[str, ...] = ()


def compute_status(
    pod: Pod, observed: Observed, waiting: Mapping[str, Waiting], node: NodeFacts, now: float, *, ended: bool = False
) -> Status:
    """``ended``: nothing runs any more and nothing will, so that a terminal phase may be told."""
    before = pod.get("status") or {}
    ending = observed.ending
    if ending is not None and ending.refused:
        return _refused(pod, observed, now)
    inits, statuses, debuggers = _all_statuses(pod, observed, waiting, ended=ended)
    phase = compute_phase(pod, inits, statuses, ended=ended)
    if ending is not None and ending.reason and ended:
        phase = FAILED
    status: Status = {"phase": phase, "startTime": before.get("startTime") or time_text(now),
                      "qosClass": qos_class(pod)}  # fmt: skip
    if ending is not None and ending.reason:
        status["reason"] = ending.reason
    elif before.get("reason"):
        status["reason"] = before["reason"]
    if ending is not None and ending.message:
        status["message"] = ending.message
    elif before.get("message"):
        status["message"] = before["message"]
    _add_addresses(status, pod, observed, node)
    for key, value in (("initContainerStatuses", inits), ("containerStatuses", statuses),
                       ("ephemeralContainerStatuses", debuggers)):  # fmt: skip
        if value:
            status[key] = value
    status["conditions"] = merge_conditions(
        pod, compute_conditions(pod, observed, phase, inits, statuses), now
    )
    _add_generation(status, pod)
    return status | {key: before[key] for key in FOREIGN if key in before}


def _all_statuses(
    pod: Pod, observed: Observed, waiting: Mapping[str, Waiting], *, ended: bool
) -> tuple[list[Status], list[Status], list[Status]]:
    """Init, app and ephemeral statuses. At the end of the pod nobody waits for a restart any more."""
    if ended:
        waiting = {name: why for name, why in waiting.items() if observed.runtime.latest(name) is None}
    inits = compute_container_statuses(
        pod, init_containers(pod), observed, waiting, kind="init", initialized=False
    )
    initialized = all(
        status.get("started") if is_sidecar(spec) else status["ready"]
        for spec, status in zip(init_containers(pod), inits, strict=True)
    )
    statuses = compute_container_statuses(
        pod, app_containers(pod), observed, waiting, kind="app", initialized=initialized
    )
    if initialized or any_has_run(statuses):
        for status in statuses:
            if status["state"].get("waiting", {}).get("reason") == "PodInitializing":
                status["state"] = {"waiting": {"reason": "ContainerCreating"}}
    debuggers = compute_container_statuses(
        pod, ephemeral_containers(pod), observed, waiting, kind="ephemeral", initialized=True
    )
    return inits, statuses, debuggers


def _refused(pod: Pod, observed: Observed, now: float) -> Status:
    ending = observed.ending
    assert ending is not None
    before = pod.get("status") or {}
    status: Status = {"phase": FAILED, "reason": ending.reason, "message": ending.message,
                      "startTime": before.get("startTime") or time_text(now), "qosClass": qos_class(pod)}  # fmt: skip
    if before.get("conditions"):
        status["conditions"] = before["conditions"]
    _add_generation(status, pod)
    return status


def _add_addresses(status: Status, pod: Pod, observed: Observed, node: NodeFacts) -> None:
    before = pod.get("status") or {}
    if node.host_ips:
        status["hostIP"] = node.host_ips[0]
        status["hostIPs"] = [{"ip": address} for address in node.host_ips]
    if is_host_network(pod):
        ips = list(node.host_ips)
    else:
        sandbox = observed.runtime.sandbox
        ips = list(sandbox.ips) if sandbox is not None else []
        if not ips and before.get("podIPs"):
            ips = [entry["ip"] for entry in before["podIPs"]]
    if ips:
        status["podIP"] = ips[0]
        status["podIPs"] = [{"ip": address} for address in ips]


def merge_conditions(pod: Pod, computed: list[dict[str, Any]], now: float) -> list[dict[str, Any]]:
    """Our conditions with their transition times, then those of others, which stay as they are."""
    before = {c["type"]: c for c in (pod.get("status") or {}).get("conditions") or ()}
    generation = pod["metadata"].get("generation")
    merged = []
    for condition in computed:
        old = before.pop(condition["type"], None)
        same = old is not None and old.get("status") == condition["status"] and old.get("lastTransitionTime")
        moved_at = old["lastTransitionTime"] if old is not None and same else time_text(now)
        full = {"type": condition["type"], "status": condition["status"], "lastProbeTime": None,
                "lastTransitionTime": moved_at}  # fmt: skip
        if generation:
            full["observedGeneration"] = generation
        merged.append(full | {key: condition[key] for key in ("reason", "message") if key in condition})
    return merged + [condition for kind, condition in before.items() if kind not in OWNED]


def _add_generation(status: Status, pod: Pod) -> None:
    if pod["metadata"].get("generation"):
        status["observedGeneration"] = pod["metadata"]["generation"]
