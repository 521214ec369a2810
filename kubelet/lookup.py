"""What the agent's HTTP server needs of the agent: pods by name, their containers, their logs, the runtime.

One narrow door, so that the server knows nothing of workers and plans.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kubelet.cri import Runtime
from kubelet.logs.paths import container_log_path, pod_log_directory
from kubelet.observed import Container, PodRuntime
from kubelet.observer import Observer
from kubelet.podspec import Pod, find_container, pod_uid


@dataclass(frozen=True, slots=True)
class LogFile:
    """A container's log and whether it may still grow."""

    path: Path
    container: Container


class PodTable(Protocol):
    """The part of `kubelet.pods.Pods` that a lookup reads."""

    def get(self, namespace: str, name: str) -> Pod | None: ...
    def all(self) -> list[Pod]: ...


class PodLookup:
    def __init__(self, pods: PodTable, observer: Observer, runtime: Runtime, pod_logs: Path) -> None:
        self._pods, self._observer, self._pod_logs = pods, observer, pod_logs
        self.runtime = runtime

    def pod(self, namespace: str, name: str, uid: str = "") -> Pod | None:
        found = self._pods.get(namespace, name)
        return found if found is not None and uid in ("", pod_uid(found)) else None

    def pods(self) -> list[Pod]:
        return self._pods.all()

    def container_spec(self, pod: Pod, name: str) -> dict[str, Any] | None:
        return find_container(pod, name)

    async def runtime_of(self, pod: Pod) -> PodRuntime:
        """Asked anew: a client that execs wants the container of now."""
        return await self._observer.fetch(pod_uid(pod))

    async def running_container(self, pod: Pod, name: str) -> Container | None:
        latest = (await self.runtime_of(pod)).latest(name)
        return latest if latest is not None and latest.is_running else None

    async def sandbox_id(self, pod: Pod) -> str | None:
        """Of the ready sandbox: where ports are forwarded to."""
        sandbox = (await self.runtime_of(pod)).sandbox
        return sandbox.id if sandbox is not None and sandbox.ready else None

    async def log_file(self, pod: Pod, name: str, *, previous: bool = False) -> LogFile | None:
        """The newest container's log, or that of the one before it."""
        history = (await self.runtime_of(pod)).history(name)
        chosen = history[1:2] if previous else history[:1]
        if not chosen:
            return None
        relative = container_log_path(name, chosen[0].restart_count)
        return LogFile(pod_log_directory(self._pod_logs, pod) / relative, chosen[0])
