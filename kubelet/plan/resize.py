"""Resources that change while a container runs: what to change, or why not yet, or why never. Pure.

What is in force is what the status of exactly this container says; a restarted agent knows as much as the old one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from kubelet.config.resources import milli, number, pod_requests
from kubelet.observed import PodRuntime
from kubelet.podspec import ContainerSpec, Pod, app_containers, is_static, sidecars

Resources = Mapping[str, Any]
RESIZABLE = ("cpu", "memory")
DEFERRED, INFEASIBLE = "Deferred", "Infeasible"


@dataclass(frozen=True, slots=True)
class Change:
    container_id: str
    name: str
    restart: bool


@dataclass(frozen=True, slots=True)
class Resize:
    """``changes`` to make now, or ``reason`` and ``message`` of why they wait. ``error`` is of the last try."""

    changes: tuple[Change, ...] = ()
    reason: str = ""
    message: str = ""
    error: str = ""


def resources_in_force(status: Mapping[str, Any], runtime: PodRuntime) -> dict[str, Resources]:
    """By container id, of the running containers whose status was reported."""
    running = {container.id for container in runtime.running()}
    found = {}
    for field in ("containerStatuses", "initContainerStatuses"):
        for entry in status.get(field) or ():
            container_id = str(entry.get("containerID", "")).rpartition("//")[2]
            if container_id in running and entry.get("resources") is not None:
                found[container_id] = entry["resources"]
    return found


def compute_resize(
    pod: Pod, runtime: PodRuntime, in_force: Mapping[str, Resources], others: Sequence[Pod], node: Mapping[str, Any]
) -> Resize | None:
    """None when every running container has what its spec says."""
    changes = tuple(_changes(pod, runtime, in_force))
    if not changes:
        return None
    if is_static(pod):
        return Resize((), INFEASIBLE, "In-place resize of static-pods is not supported")
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    wanted = pod_requests(pod)
    for name in ("memory", "cpu"):
        capacity = milli(allocatable.get(name)) if name == "cpu" else number(allocatable.get(name))
        asked = wanted.get(name, 0)
        if asked > capacity:
            message = f"Node didn't have enough capacity: {name}, requested: {asked}, capacity: {capacity}"
            return Resize((), INFEASIBLE, message)
    for name in RESIZABLE:
        capacity = milli(allocatable.get(name)) if name == "cpu" else number(allocatable.get(name))
        asked, used = wanted.get(name, 0), sum(pod_requests(other).get(name, 0) for other in others)
        if asked + used > capacity:
            amounts = f"requested: {asked}, used: {used}, capacity: {capacity}"
            return Resize((), DEFERRED, f"Node didn't have enough resource: {name}, {amounts}")
    return Resize(changes)


def _changes(pod: Pod, runtime: PodRuntime, in_force: Mapping[str, Resources]) -> list[Change]:
    found = []
    for spec in [*sidecars(pod), *app_containers(pod)]:
        latest = runtime.latest(spec["name"])
        if latest is None or not latest.is_running or latest.id not in in_force:
            continue
        differing = differing_resources(spec.get("resources") or {}, in_force[latest.id])
        if differing:
            found.append(Change(latest.id, latest.name, needs_restart(spec, differing)))
    return found


def differing_resources(wanted: Resources, have: Resources) -> set[str]:
    """Which of CPU and memory differ, as amounts and not as text."""
    return {name for name in RESIZABLE for kind in ("requests", "limits")
            if _amount(wanted, kind, name) != _amount(have, kind, name)}  # fmt: skip


def _amount(resources: Resources, kind: str, name: str) -> int | None:
    value = (resources.get(kind) or {}).get(name)
    if value is None:
        return None
    return milli(value) if name == "cpu" else number(value)


def needs_restart(spec: ContainerSpec, differing: set[str]) -> bool:
    return any(
        policy.get("resourceName") in differing and policy.get("restartPolicy") == "RestartContainer"
        for policy in spec.get("resizePolicy") or ()
    )


def describe_resize(pod: Pod, error: str = "") -> str:
    """The JSON inside the events: every container with its resources, and the generation that asked for them."""
    document: dict[str, Any] = {}
    for key, specs in (("initContainers", sidecars(pod)), ("containers", app_containers(pod))):
        shown = [{"name": spec["name"], "resources": _shown(spec.get("resources") or {})} for spec in specs]
        if shown:
            document[key] = shown
    document["generation"] = pod["metadata"].get("generation", 0)
    if error:
        document["error"] = error
    return orjson.dumps(document).decode()


def _shown(resources: Resources) -> dict[str, Any]:
    return {kind: {name: resources[kind][name] for name in sorted(resources[kind])}
            for kind in ("limits", "requests") if resources.get(kind)}  # fmt: skip
