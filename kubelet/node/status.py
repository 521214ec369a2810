"""The node's status from facts: capacity, addresses, conditions, images. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubelet.node.machine import Disk, Machine, Pressure

VERSION = "v1.36.2"
MAX_IMAGES = 50
EVICTION_MEMORY_BYTES = 100 * 1024 * 1024
EVICTION_DISK_SHARE = 0.10
EVICTION_INODES_SHARE = 0.05
PID_SHARE = 0.99


@dataclass(frozen=True, slots=True)
class RuntimeFacts:
    """What the runtime says of itself. ``problem`` is why pods cannot run, empty when they can."""

    version: str = ""
    problem: str = ""
    images: Sequence[tuple[Sequence[str], int]] = ()
    handlers: Sequence[str] = ("",)


@dataclass(frozen=True, slots=True)
class NodeSettings:
    name: str
    hostname: str
    addresses: tuple[str, ...]
    port: int
    max_pods: int
    labels: Mapping[str, str]
    taints: Sequence[Mapping[str, str]]
    provider_id: str = ""


def compute_capacity(machine: Machine, disk: Disk, settings: NodeSettings) -> dict[str, str]:
    return {
        "cpu": str(machine.cpus),
        "ephemeral-storage": f"{disk.total_bytes // 1024}Ki",
        **{name: str(amount) for name, amount in machine.huge_pages},
        "memory": f"{machine.memory_bytes // 1024}Ki",
        "pods": str(settings.max_pods),
    }


def compute_allocatable(machine: Machine, disk: Disk, settings: NodeSettings) -> dict[str, str]:
    """Capacity without what eviction keeps free."""
    capacity = compute_capacity(machine, disk, settings)
    capacity["ephemeral-storage"] = str(int(disk.total_bytes * (1 - EVICTION_DISK_SHARE)))
    capacity["memory"] = f"{max(machine.memory_bytes - EVICTION_MEMORY_BYTES, 0) // 1024}Ki"
    return capacity


def merge_resources(own: Mapping[str, str], before: Mapping[str, str]) -> dict[str, str]:
    """Extended resources that someone else wrote are kept."""
    return {**{name: value for name, value in before.items() if "/" in name}, **own}


def base_labels(machine: Machine, settings: NodeSettings) -> dict[str, str]:
    return {
        "beta.kubernetes.io/arch": machine.architecture,
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": machine.architecture,
        "kubernetes.io/hostname": settings.hostname,
        "kubernetes.io/os": "linux",
        **settings.labels,
    }


def compute_node(machine: Machine, disk: Disk, settings: NodeSettings) -> dict[str, Any]:
    """The object to register, without its status."""
    spec: dict[str, Any] = {}
    if settings.taints:
        spec["taints"] = [dict(taint) for taint in settings.taints]
    if settings.provider_id:
        spec["providerID"] = settings.provider_id
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": settings.name,
            "labels": base_labels(machine, settings),
            "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
        },
        "spec": spec,
    }


def compute_node_status(
    machine: Machine, pressure: Pressure, runtime: RuntimeFacts, settings: NodeSettings, before: Mapping[str, Any],
    now: str,
) -> dict[str, Any]:  # fmt: skip
    """``before`` is the status in the API: transition times and others' resources come from there."""
    capacity = compute_capacity(machine, pressure.disk, settings)
    allocatable = compute_allocatable(machine, pressure.disk, settings)
    return {
        "addresses": [
            *({"type": "InternalIP", "address": address} for address in settings.addresses),
            {"type": "Hostname", "address": settings.hostname},
        ],
        "capacity": merge_resources(capacity, before.get("capacity") or {}),
        "allocatable": merge_resources(allocatable, before.get("allocatable") or {}),
        "conditions": compute_conditions(pressure, runtime, before.get("conditions") or (), now),
        "daemonEndpoints": {"kubeletEndpoint": {"Port": settings.port}},
        "images": image_list(runtime.images),
        "nodeInfo": {
            "architecture": machine.architecture,
            "bootID": machine.boot_id,
            "containerRuntimeVersion": runtime.version,
            "kernelVersion": machine.kernel,
            "kubeProxyVersion": "",
            "kubeletVersion": VERSION,
            "machineID": machine.machine_id,
            "operatingSystem": "linux",
            "osImage": machine.os_image,
            "swap": {"capacity": machine.swap_bytes},
            "systemUUID": machine.system_uuid,
        },
        "runtimeHandlers": [
            {"name": name, "features": {"recursiveReadOnlyMounts": False, "userNamespaces": False}}
            for name in runtime.handlers
        ],
    }


def compute_conditions(
    pressure: Pressure, runtime: RuntimeFacts, before: Sequence[Mapping[str, Any]], now: str
) -> list[dict[str, Any]]:
    memory = pressure.memory_available < EVICTION_MEMORY_BYTES
    disk = has_disk_pressure(pressure.disk)
    pids = pressure.processes > pressure.max_processes * PID_SHARE
    ready = not runtime.problem
    computed = [
        _condition("MemoryPressure", memory, "KubeletHasInsufficientMemory" if memory else "KubeletHasSufficientMemory",
                   f"kubelet has {'insufficient' if memory else 'sufficient'} memory available"),
        _condition("DiskPressure", disk, "KubeletHasDiskPressure" if disk else "KubeletHasNoDiskPressure",
                   f"kubelet has {'disk' if disk else 'no disk'} pressure"),
        _condition("PIDPressure", pids, "KubeletHasInsufficientPID" if pids else "KubeletHasSufficientPID",
                   f"kubelet has {'insufficient' if pids else 'sufficient'} PID available"),
        _condition("Ready", ready, "KubeletReady" if ready else "KubeletNotReady",
                   "kubelet is posting ready status" if ready else runtime.problem),
    ]  # fmt: skip
    return merge_conditions(computed, before, now)


def _condition(type_: str, status: bool, reason: str, message: str) -> dict[str, Any]:
    return {"type": type_, "status": "True" if status else "False", "reason": reason, "message": message}


def merge_conditions(
    computed: Sequence[dict[str, Any]], before: Sequence[Mapping[str, Any]], now: str
) -> list[dict[str, Any]]:
    """With heartbeat and transition times; conditions of others come after ours, unchanged."""
    known = {condition["type"]: condition for condition in before}
    merged = []
    for condition in computed:
        old = known.pop(condition["type"], None)
        moved = old is None or old.get("status") != condition["status"]
        transition = now if moved or old is None else old.get("lastTransitionTime") or now
        merged.append({**condition, "lastHeartbeatTime": now, "lastTransitionTime": transition})
    return [*(dict(condition) for condition in known.values()), *merged]


def has_disk_pressure(disk: Disk) -> bool:
    if disk.total_bytes and disk.available_bytes < disk.total_bytes * EVICTION_DISK_SHARE:
        return True
    return bool(disk.inodes) and disk.inodes_free < disk.inodes * EVICTION_INODES_SHARE


def image_list(images: Sequence[tuple[Sequence[str], int]]) -> list[dict[str, Any]]:
    """The largest first, as the scheduler's image locality wants to know them."""
    ranked = sorted(images, key=lambda image: (-image[1], list(image[0])))
    return [{"names": list(names), "sizeBytes": size} for names, size in ranked[:MAX_IMAGES] if names]


def differs(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether more than heartbeats changed."""

    def stripped(status: Mapping[str, Any]) -> dict[str, Any]:
        conditions = [
            {key: value for key, value in condition.items() if key != "lastHeartbeatTime"}
            for condition in status.get("conditions") or ()
        ]
        return {**{key: status.get(key) for key in after}, "conditions": conditions}

    return stripped(before) != stripped(after)

