"""Asks the runtime what it has of a pod and turns the answers into `PodRuntime`.

What cannot change is asked once: the status of a container that ended (with its termination message) and the address
of a ready sandbox are kept while the container or sandbox exists. The cache is rebuilt by asking; losing it costs a
few calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from kubelet.cri import CriError, Runtime, names
from kubelet.observed import CREATED, EXITED, RUNNING, UNKNOWN, Container, PodRuntime, Sandbox
from proto import cri_pb2 as cri

_STATES = {
    cri.CONTAINER_CREATED: CREATED,
    cri.CONTAINER_RUNNING: RUNNING,
    cri.CONTAINER_EXITED: EXITED,
    cri.CONTAINER_UNKNOWN: UNKNOWN,
}
NANOSECOND = 1e-9

#: Reads the termination message of an ended container: (status, annotations) → text.
MessageReader = Callable[[Any], str]


class Observer:
    def __init__(self, runtime: Runtime, read_message: MessageReader) -> None:
        self._runtime = runtime
        self._read_message = read_message
        self._ended: dict[str, Container] = {}
        self._addresses: dict[str, Sandbox] = {}
        self._owners: dict[str, str] = {}

    def owner_of(self, container_id: str) -> str | None:
        """The uid of the pod that a container or sandbox belongs to, if it was ever seen."""
        return self._owners.get(container_id)

    async def fetch(self, uid: str) -> PodRuntime:
        """One pod."""
        labels = {names.POD_UID: uid}
        sandboxes, containers = await asyncio.gather(
            self._runtime.list_pod_sandboxes(labels), self._runtime.list_containers(labels)
        )
        return await self._assemble(uid, list(sandboxes), list(containers))

    async def fetch_uids(self) -> dict[str, tuple[str, ...]]:
        """Every pod that the runtime has anything of, with a fingerprint of the states: the relist."""
        sandboxes, containers = await asyncio.gather(
            self._runtime.list_pod_sandboxes(), self._runtime.list_containers()
        )
        found: dict[str, list[str]] = {}
        alive: set[str] = set()
        items: list[Any] = [*sandboxes, *containers]
        for item in items:
            uid = item.labels.get(names.POD_UID)
            if uid:
                alive.add(item.id)
                self._owners[item.id] = uid
                found.setdefault(uid, []).append(f"{item.id}:{item.state}")
        for table in (self._ended, self._addresses, self._owners):
            for gone in [key for key in table if key not in alive]:
                del table[gone]
        return {uid: tuple(sorted(states)) for uid, states in found.items()}

    async def _assemble(self, uid: str, sandboxes: list[Any], containers: list[Any]) -> PodRuntime:
        sandboxes.sort(key=lambda item: (item.metadata.attempt, item.created_at), reverse=True)
        containers.sort(key=lambda item: (item.created_at, item.metadata.attempt), reverse=True)
        for item in [*sandboxes, *containers]:
            self._owners[item.id] = uid
        found = await asyncio.gather(
            *(self._sandbox(item) for item in sandboxes), *(self._container(item) for item in containers)
        )
        first: Any = sandboxes[0] if sandboxes else None
        return PodRuntime(
            uid=uid,
            namespace=first.metadata.namespace if first else "",
            name=first.metadata.name if first else "",
            sandboxes=tuple(item for item in found if isinstance(item, Sandbox)),
            containers=tuple(item for item in found if isinstance(item, Container)),
        )

    async def _sandbox(self, item: Any) -> Sandbox | None:
        ready = item.state == cri.SANDBOX_READY
        known = self._addresses.get(item.id)
        if known is not None and known.ready == ready:
            return known
        try:
            status = (await self._runtime.pod_sandbox_status(item.id)).status
        except CriError as error:
            if error.is_not_found:
                return None
            raise
        network = status.network
        ips = (network.ip, *(extra.ip for extra in network.additional_ips)) if network.ip else ()
        sandbox = Sandbox(
            id=item.id,
            attempt=item.metadata.attempt,
            ready=status.state == cri.SANDBOX_READY,
            created_at=item.created_at * NANOSECOND,
            ips=tuple(ip for ip in ips if ip),
            host_network=status.linux.namespaces.options.network == cri.NODE,
        )
        if sandbox.ready == ready and (sandbox.ips or sandbox.host_network or not ready):
            self._addresses[item.id] = sandbox
        return sandbox

    async def _container(self, item: Any) -> Container | None:
        known = self._ended.get(item.id)
        if known is not None:
            return known
        try:
            status = (await self._runtime.container_status(item.id)).status
        except CriError as error:
            if error.is_not_found:
                return None
            raise
        container = container_of(status, item.pod_sandbox_id, self._read_message)
        if container.is_exited:
            self._ended[item.id] = container
        return container


def container_of(status: Any, sandbox_id: str, read_message: MessageReader) -> Container:
    """One container from its CRI status."""
    annotations: Mapping[str, str] = status.annotations
    state = _STATES.get(status.state, UNKNOWN)
    message = status.message
    if state == EXITED:
        message = read_message(status) or message
    user = status.user.linux if status.HasField("user") and status.user.HasField("linux") else None
    return Container(
        id=status.id,
        name=status.labels.get(names.CONTAINER_NAME, status.metadata.name),
        sandbox_id=sandbox_id,
        state=state,
        restart_count=_number(annotations, names.CONTAINER_RESTART_COUNT, status.metadata.attempt),
        created_at=status.created_at * NANOSECOND,
        started_at=status.started_at * NANOSECOND,
        finished_at=status.finished_at * NANOSECOND,
        exit_code=status.exit_code,
        reason=status.reason,
        message=message,
        image=status.image.image,
        image_id=status.image_ref,
        hash=annotations.get(names.CONTAINER_HASH, ""),
        backoff_step=_number(annotations, names.CONTAINER_BACKOFF, 0),
        log_path=status.log_path,
        grace_seconds=_number(annotations, names.POD_GRACE_PERIOD, 30),
        user=None if user is None else _user(user),
    )


def _user(user: Any) -> dict[str, object]:
    found: dict[str, object] = {"uid": user.uid, "gid": user.gid}
    if user.supplemental_groups:
        found["supplementalGroups"] = list(user.supplemental_groups)
    return found


def _number(annotations: Mapping[str, str], key: str, default: int) -> int:
    try:
        return int(annotations[key])
    except (KeyError, ValueError):
        return default
