"""The five conditions that the agent owns, in upstream's order and words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kubelet.observed import Observed, PodRuntime
from kubelet.plan.resize import Resize
from kubelet.podspec import Pod, init_containers, is_host_network, is_sidecar
from kubelet.status.phase import FAILED, SUCCEEDED, any_has_run

Condition = dict[str, Any]
Status = dict[str, Any]

DISRUPTION = "DisruptionTarget"
RESIZE = ("PodResizePending", "PodResizeInProgress")
OWNED = (*RESIZE, "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")


def compute_conditions(
    pod: Pod, observed: Observed, phase: str, init_statuses: Sequence[Status], statuses: Sequence[Status]
) -> list[Condition]:
    containers_ready = containers_ready_condition(pod, phase, init_statuses, statuses)
    disruption = observed.ending is not None and observed.ending.disruption
    return [
        *resize_conditions(observed.resize),
        *([disruption_condition(observed.ending.message)] if disruption and observed.ending else []),
        sandbox_condition(pod, observed.runtime),
        initialized_condition(pod, phase, init_statuses, statuses),
        ready_condition(pod, containers_ready),
        containers_ready,
        _condition("PodScheduled", True),
    ]


def _condition(type_: str, status: bool, reason: str = "", message: str = "") -> Condition:
    condition: Condition = {"type": type_, "status": "True" if status else "False"}
    if reason:
        condition["reason"] = reason
    if message:
        condition["message"] = message
    return condition


def _names(statuses: Sequence[str]) -> str:
    return "[" + " ".join(statuses) + "]"


def resize_conditions(resize: Resize | None) -> list[Condition]:
    """Only while something is to be changed; the trouble of the last try is told as its error."""
    if resize is None:
        return []
    if resize.reason:
        return [_condition("PodResizePending", True, resize.reason, resize.message)]
    return [_condition("PodResizeInProgress", True, "Error" if resize.error else "", resize.error)]


def disruption_condition(message: str) -> Condition:
    return _condition(DISRUPTION, True, "TerminationByKubelet", message)


def sandbox_condition(pod: Pod, runtime: PodRuntime) -> Condition:
    sandbox = runtime.sandbox
    good = sandbox is not None and sandbox.ready and (is_host_network(pod) or bool(sandbox.ips))
    return _condition("PodReadyToStartContainers", good)


def initialized_condition(
    pod: Pod, phase: str, init_statuses: Sequence[Status], statuses: Sequence[Status]
) -> Condition:
    if phase == SUCCEEDED:
        return _condition("Initialized", True, "PodCompleted")
    if any_has_run(statuses):
        return _condition("Initialized", True)
    specs = {spec["name"]: spec for spec in init_containers(pod)}
    incomplete = []
    for name, spec in specs.items():
        status = next((s for s in init_statuses if s["name"] == name), None)
        done = status is not None and (status.get("started") if is_sidecar(spec) else status["ready"])
        if not done:
            incomplete.append(name)
    if incomplete:
        message = f"containers with incomplete status: {_names(incomplete)}"
        return _condition("Initialized", False, "ContainersNotInitialized", message)
    return _condition("Initialized", True)


def containers_ready_condition(
    pod: Pod, phase: str, init_statuses: Sequence[Status], statuses: Sequence[Status]
) -> Condition:
    if phase == SUCCEEDED:
        return _condition("ContainersReady", False, "PodCompleted")
    if phase == FAILED:
        return _condition("ContainersReady", False, "PodFailed")
    sidecar_names = {spec["name"] for spec in init_containers(pod) if is_sidecar(spec)}
    watched = [s for s in init_statuses if s["name"] in sidecar_names] + list(statuses)
    unready = [s["name"] for s in watched if not s["ready"]]
    if unready:
        message = f"containers with unready status: {_names(unready)}"
        return _condition("ContainersReady", False, "ContainersNotReady", message)
    return _condition("ContainersReady", True)


def ready_condition(pod: Pod, containers_ready: Condition) -> Condition:
    """Containers ready, and every readiness gate that someone else has to open is open."""
    if containers_ready["status"] != "True":
        return {**containers_ready, "type": "Ready"}
    conditions = {c["type"]: c for c in (pod.get("status") or {}).get("conditions") or ()}
    problems = []
    for gate in pod["spec"].get("readinessGates") or ():
        kind = gate["conditionType"]
        if kind not in conditions:
            problems.append(f'corresponding condition of pod readiness gate "{kind}" does not exist.')
        elif conditions[kind].get("status") != "True":
            problems.append(
                f'the status of pod readiness gate "{kind}" is not "True", but {conditions[kind].get("status")}'
            )
    if problems:
        return _condition("Ready", False, "ReadinessGatesNotReady", ", ".join(problems))
    return _condition("Ready", True)
