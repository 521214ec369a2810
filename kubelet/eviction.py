"""Ends pods before the machine runs out: by memory first, by disk after. Which one goes is decided in pure code."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from kubelet.config.resources import number, pod_requests
from kubelet.cri import CriError, Runtime, names
from kubelet.node.machine import Pressure, read_pressure
from kubelet.node.status import EVICTION_MEMORY_BYTES, has_disk_pressure
from kubelet.pods import Pods
from kubelet.podspec import Pod, app_containers, is_static, pod_key, pod_uid
from kubelet.volumes.manager import VolumeManager
from machinery.runtime.clock import SYSTEM_CLOCK, Clock

log = structlog.get_logger(__name__)

CHECK_SECONDS = 10.0
EVICTED = "Evicted"
LIMIT_GRACE_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Usage:
    memory_bytes: int = 0
    disk_bytes: int = 0


def pressured_resource(pressure: Pressure) -> str:
    """What is short: memory, ephemeral-storage, or nothing."""
    if pressure.memory_available < EVICTION_MEMORY_BYTES:
        return "memory"
    return "ephemeral-storage" if has_disk_pressure(pressure.disk) else ""


def choose_victim(resource: str, pods: Sequence[Pod], usage: Mapping[str, Usage]) -> Pod | None:
    """Those above their request first, then by priority, then by how far above. Critical and static pods stay."""

    def rank(pod: Pod) -> tuple[bool, int, int]:
        used = usage.get(pod_uid(pod), Usage())
        amount = used.memory_bytes if resource == "memory" else used.disk_bytes
        request = pod_requests(pod).get(resource, 0)
        return amount <= request, int(pod["spec"].get("priority") or 0), request - amount

    candidates = [p for p in pods if not is_static(p) and int(p["spec"].get("priority") or 0) < 2_000_000_000]
    return min(candidates, key=rank) if candidates else None


def limited_volumes(pod: Pod) -> dict[str, str]:
    """The emptyDirs on disk that have a size limit; those in memory are held by the kernel."""
    return {
        volume["name"]: volume["emptyDir"]["sizeLimit"]
        for volume in pod["spec"].get("volumes") or ()
        if (volume.get("emptyDir") or {}).get("sizeLimit") and volume["emptyDir"].get("medium") != "Memory"
    }


def storage_limits(pod: Pod) -> dict[str, str]:
    """Containers' own limits of local storage."""
    found = {}
    for spec in app_containers(pod):
        limit = ((spec.get("resources") or {}).get("limits") or {}).get("ephemeral-storage")
        if limit is not None:
            found[spec["name"]] = limit
    return found


def has_storage_limits(pod: Pod) -> bool:
    return bool(limited_volumes(pod) or storage_limits(pod))


def storage_excess(pod: Pod, volumes: Mapping[str, int], containers: Mapping[str, int]) -> str:
    """The message of the eviction; empty when everything is within its limits."""
    for name, limit in limited_volumes(pod).items():
        if volumes.get(name, 0) > number(limit):
            return f'Usage of EmptyDir volume "{name}" exceeds the limit "{limit}". '
    for name, limit in storage_limits(pod).items():
        if containers.get(name, 0) > number(limit):
            return f'Container {name} exceeded its local ephemeral storage limit "{limit}". '
    return ""


def directory_bytes(path: Path) -> int:
    """What the files below take on the disk; a file that goes meanwhile counts nothing."""
    total = 0
    for directory, _, files in os.walk(path):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(directory, name)).st_blocks * 512
    return total


class Evictor:
    def __init__(
        self, pods: Pods, volumes: VolumeManager, runtime: Runtime, root: Path, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._pods, self._volumes, self._runtime, self._root, self._clock = pods, volumes, runtime, root, clock

    async def run(self) -> None:
        while True:
            await self._clock.sleep(CHECK_SECONDS)
            resource = pressured_resource(read_pressure(self._root))
            try:
                await self.evict_oversized()
                if resource:
                    await self.evict_one(resource)
            except CriError as error:
                log.warning("eviction waits for the runtime", error=str(error))

    def _active(self) -> list[Pod]:
        return [p for p in self._pods.all() if not p["metadata"].get("deletionTimestamp")
                and (p.get("status") or {}).get("phase") in ("Pending", "Running")]  # fmt: skip

    async def evict_oversized(self) -> None:
        """Pods whose own volumes or containers outgrew the limits that the pod itself set."""
        limited = [pod for pod in self._active() if has_storage_limits(pod)]
        if not limited:
            return
        usage = await self._usage_by_container()
        for pod in limited:
            sizes = {name: await asyncio.to_thread(directory_bytes, self._volumes.path_of(pod, name))
                     for name in limited_volumes(pod)}  # fmt: skip
            message = storage_excess(pod, sizes, usage.get(pod_uid(pod), {}))
            if message:
                log.warning("evicting a pod that outgrew its limits", pod=pod_key(pod), message=message)
                self._pods.evict(pod_uid(pod), EVICTED, message, LIMIT_GRACE_SECONDS)

    async def evict_one(self, resource: str) -> None:
        victim = choose_victim(resource, self._active(), await self._usage())
        if victim is None:
            return
        message = f"The node was low on resource: {resource}. "
        log.warning("evicting a pod", pod=pod_key(victim), resource=resource)
        self._pods.evict(pod_uid(victim), EVICTED, message, 0, disruption=True)

    async def _usage_by_container(self) -> dict[str, dict[str, int]]:
        """Bytes of the writable layer, by pod and container."""
        found: dict[str, dict[str, int]] = {}
        for stats in await self._runtime.list_container_stats():
            labels = stats.attributes.labels
            uid, name = labels.get(names.POD_UID, ""), labels.get(names.CONTAINER_NAME, "")
            found.setdefault(uid, {})[name] = stats.writable_layer.used_bytes.value
        return found

    async def _usage(self) -> dict[str, Usage]:
        found: dict[str, Usage] = {}
        for stats in await self._runtime.list_container_stats():
            uid = stats.attributes.labels.get(names.POD_UID, "")
            before = found.get(uid, Usage())
            found[uid] = Usage(
                before.memory_bytes + stats.memory.working_set_bytes.value,
                before.disk_bytes + stats.writable_layer.used_bytes.value,
            )
        return found
