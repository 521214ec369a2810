"""Ends pods before the machine runs out: by memory first, by disk after. Which one goes is decided in pure code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from kubelet.config.resources import pod_requests
from kubelet.cri import CriError, Runtime, names
from kubelet.node.machine import Pressure, read_pressure
from kubelet.node.status import EVICTION_MEMORY_BYTES, has_disk_pressure
from kubelet.pods import Pods
from kubelet.podspec import Pod, is_static, pod_key, pod_uid
from machinery.runtime.clock import SYSTEM_CLOCK, Clock

log = structlog.get_logger(__name__)

CHECK_SECONDS = 10.0
EVICTED = "Evicted"


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


class Evictor:
    def __init__(self, pods: Pods, runtime: Runtime, root: Path, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._pods, self._runtime, self._root, self._clock = pods, runtime, root, clock

    async def run(self) -> None:
        while True:
            await self._clock.sleep(CHECK_SECONDS)
            resource = pressured_resource(read_pressure(self._root))
            if not resource:
                continue
            try:
                await self.evict_one(resource)
            except CriError as error:
                log.warning("eviction waits for the runtime", error=str(error))

    async def evict_one(self, resource: str) -> None:
        active = [p for p in self._pods.all() if not p["metadata"].get("deletionTimestamp")
                  and (p.get("status") or {}).get("phase") in ("Pending", "Running")]  # fmt: skip
        victim = choose_victim(resource, active, await self._usage())
        if victim is None:
            return
        message = f"The node was low on resource: {resource}. "
        log.warning("evicting a pod", pod=pod_key(victim), resource=resource)
        self._pods.evict(pod_uid(victim), EVICTED, message, 0)

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
