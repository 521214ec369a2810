"""The one writer of pod statuses.

Workers hand in what they computed; the newest of a pod wins, an unchanged one is not written. Each write carries the
version it was computed against: when someone else wrote in between, the conditions of others are taken over and it is
tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from kubelet.podspec import Pod, pod_uid
from kubelet.status.conditions import DISRUPTION, OWNED
from machinery.client import Client, ConnectError
from machinery.meta.errors import ApiError, is_conflict, is_not_found

log = structlog.get_logger(__name__)

RETRY_SECONDS = 1.0
RETRY_CAP_SECONDS = 10.0
ATTEMPTS = 5
Status = dict[str, Any]


class StatusWriter:
    def __init__(self, client: Client, current: Callable[[Pod], Pod | None]) -> None:
        """``current`` finds the API's copy of a pod: itself, or its mirror."""
        self._client, self._current = client, current
        self._pending: dict[str, tuple[Pod, Status]] = {}
        self._written: dict[str, Pod] = {}
        self._wake = asyncio.Event()
        self._locks: dict[str, asyncio.Lock] = {}

    def submit(self, pod: Pod, status: Status) -> None:
        self._pending[pod_uid(pod)] = (pod, status)
        self._wake.set()

    def latest(self, pod: Pod) -> Pod:
        """The freshest copy known: what the last write returned, if the watch has not brought a newer one."""
        return newest(self._current(pod) or pod, self._written.get(pod_uid(pod)))

    def forget(self, uid: str) -> None:
        self._pending.pop(uid, None)
        self._written.pop(uid, None)
        self._locks.pop(uid, None)

    async def run(self) -> None:
        """Writes of different pods go side by side, of one pod one after another."""
        running: set[asyncio.Task[None]] = set()
        while True:
            await self._wake.wait()
            self._wake.clear()
            for uid in list(self._pending):
                lock = self._locks.get(uid)
                if lock is not None and lock.locked():
                    continue  # whoever writes it now takes the newest when it is done
                task = asyncio.create_task(self.flush(uid), name=f"status/{uid}")
                running.add(task)
                task.add_done_callback(running.discard)

    async def flush(self, uid: str) -> None:
        """Until the newest status of the pod is written, or there is nothing to write to any more."""
        async with self._locks.setdefault(uid, asyncio.Lock()):
            delay = RETRY_SECONDS
            while uid in self._pending:
                pod, status = self._pending.pop(uid)
                try:
                    await self._write(pod, status)
                    delay = RETRY_SECONDS
                except asyncio.CancelledError:
                    self._pending.setdefault(uid, (pod, status))
                    raise
                except (ApiError, ConnectError) as error:
                    log.info("status not written yet", pod=pod["metadata"]["name"], error=str(error), again=delay)
                    self._pending.setdefault(uid, (pod, status))
                    await asyncio.sleep(delay)
                    # A server that is away comes back any moment; one that refuses will refuse again.
                    if isinstance(error, ApiError):
                        delay = min(delay * 2, RETRY_CAP_SECONDS)

    async def _write(self, pod: Pod, status: Status) -> None:
        target = self.latest(pod)
        if not target["metadata"].get("resourceVersion"):
            return  # a static pod without a mirror yet; its worker reports again when there is one
        for _ in range(ATTEMPTS):
            patch = status_patch(target.get("status") or {}, status)
            if not patch:
                return
            meta = target["metadata"]
            body = {"metadata": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}, "status": patch}
            try:
                written = await self._client.patch(
                    "v1", "pods", meta["name"], body, namespace=meta["namespace"], subresource="status"
                )
                self._written[pod_uid(pod)] = written
                return
            except ApiError as error:
                if is_not_found(error):
                    return
                if not is_conflict(error):
                    raise
            try:
                target = await self._client.get("v1", "pods", meta["name"], namespace=meta["namespace"])
            except ApiError as error:
                if is_not_found(error):
                    return
                raise
            if target["metadata"]["uid"] != meta["uid"]:
                return
        raise ConnectError("the pod's status changes faster than it can be written")


def newest(pod: Pod, written: Pod | None) -> Pod:
    if written is None or written["metadata"]["uid"] != pod["metadata"]["uid"]:
        return pod
    return written if _version(written) > _version(pod) else pod


def _version(pod: Pod) -> int:
    try:
        return int(pod["metadata"].get("resourceVersion") or 0)
    except ValueError:
        return 0


def status_patch(before: Status, wanted: Status) -> Status:
    """A JSON merge patch: changed parts, and null for what is gone. Conditions of others are kept as they are now."""
    patch: Status = {}
    for key, value in wanted.items():
        if key == "conditions":
            value = with_foreign_conditions(before.get("conditions") or [], value)
        if not same(before.get(key), value):
            patch[key] = replacement(before.get(key), value)
    for key in ("reason", "message", "containerStatuses", "podIP", "podIPs"):
        if key in before and key not in wanted:
            patch[key] = None
    return patch


def same(a: Any, b: Any) -> bool:
    """Equal, where a null and an absent key are the same thing: a server may drop what is null."""
    if isinstance(a, dict) and isinstance(b, dict):
        return all(same(a.get(key), b.get(key)) for key in {*a, *b})
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def with_foreign_conditions(now: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A disruption may be told by the agent or by others: who came first has the word."""
    foreign = [condition for condition in now if condition["type"] not in OWNED]
    told = {condition["type"] for condition in now}
    own = [c for c in wanted if c["type"] in OWNED or (c["type"] == DISRUPTION and DISRUPTION not in told)]
    return own + foreign


def replacement(before: Any, value: Any) -> Any:
    """A merge patch merges objects: keys that must go are named with null. Lists are replaced whole."""
    if isinstance(before, dict) and isinstance(value, dict):
        gone = {key: None for key in before if key not in value}
        return gone | {key: replacement(before.get(key), item) for key, item in value.items()}
    return value
