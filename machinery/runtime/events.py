"""Event objects: what a component tells the people who read ``kubectl describe``.

``event`` never waits and never fails: events are written in the background, best effort. The same event again (same
object, type, reason, message) bumps ``count`` and ``lastTimestamp`` of the one that was written instead of adding
another; events of one object that differ only in the message are combined after ten within ten minutes, and an object
may cause a burst of 25 and then one event per five minutes (the rules of client-go's correlator).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Literal

import structlog

from machinery.client import Client, ConnectError
from machinery.meta.errors import ApiError, is_not_found
from machinery.meta.objects import format_time
from machinery.runtime.clock import SYSTEM_CLOCK, Clock

log = structlog.get_logger(__name__)
Object = dict[str, Any]

AGGREGATE_AFTER = 10
AGGREGATE_WINDOW_SECONDS = 600.0
SPAM_BURST = 25.0
SPAM_REFILL_PER_SECOND = 1 / 300.0
REMEMBERED = 4096
QUEUE_LIMIT = 1000


@dataclass(slots=True)
class _Written:
    name: str
    count: int
    first: str


@dataclass(slots=True)
class _Similar:
    messages: dict[str, None]
    since: float


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


def object_reference(obj: Object, *, field_path: str = "") -> Object:
    """An ObjectReference to ``obj`` (which must carry apiVersion and kind)."""
    meta = obj["metadata"]
    reference = {
        "apiVersion": obj.get("apiVersion", ""), "kind": obj.get("kind", ""), "name": meta["name"],
        "namespace": meta.get("namespace", ""), "uid": meta.get("uid", ""),
        "resourceVersion": meta.get("resourceVersion", ""), "fieldPath": field_path,
    }  # fmt: skip
    return {key: value for key, value in reference.items() if value}


class EventRecorder:
    """Writes events of one component. ``run`` (a background task) does the writing."""

    def __init__(self, client: Client, component: str, *, host: str = "", clock: Clock = SYSTEM_CLOCK) -> None:
        self._client, self._component, self._host, self._clock = client, component, host, clock
        self._queue: asyncio.Queue[tuple[Object, str, str, str, str]] = asyncio.Queue(QUEUE_LIMIT)
        self._written: OrderedDict[tuple[str, ...], _Written] = OrderedDict()
        self._similar: OrderedDict[tuple[str, ...], _Similar] = OrderedDict()
        self._buckets: OrderedDict[tuple[str, ...], _Bucket] = OrderedDict()

    def event(
        self, obj: Object, type_: Literal["Normal", "Warning"], reason: str, message: str, *, field_path: str = ""
    ) -> None:
        """Say it about ``obj`` (an object with apiVersion and kind, or an ObjectReference under "reference")."""
        reference = obj["reference"] if "reference" in obj else object_reference(obj, field_path=field_path)
        try:
            self._queue.put_nowait((reference, type_, reason, message, format_time(self._clock.now())))
        except asyncio.QueueFull:
            log.warning("event dropped", reason=reason, object=reference.get("name"))

    async def run(self) -> None:
        while True:
            await self._write(*await self._queue.get())

    async def flush(self) -> None:
        """Write what is queued now (at shutdown, in tests)."""
        while not self._queue.empty():
            await self._write(*self._queue.get_nowait())

    async def _write(self, reference: Object, type_: str, reason: str, message: str, now: str) -> None:
        identity = (reference.get("kind", ""), reference.get("namespace", ""), reference.get("name", ""),
                    reference.get("uid", ""), reference.get("fieldPath", ""))  # fmt: skip
        if not self._allowed(identity):
            return
        key, message = self._correlate(identity, type_, reason, message)
        try:
            written = self._written.get(key)
            if written is not None and await self._bump(written, reference, message, now):
                return
            await self._create(key, reference, type_, reason, message, now)
        except (ApiError, ConnectError) as error:
            log.debug("event not written", reason=reason, object=reference.get("name"), error=str(error))

    async def _bump(self, written: _Written, reference: Object, message: str, now: str) -> bool:
        patch = {"count": written.count + 1, "lastTimestamp": now, "message": message}
        try:
            await self._client.patch(
                "v1", "events", written.name, patch, namespace=reference.get("namespace") or "default",
                patch_type="strategic",
            )  # fmt: skip
        except ApiError as error:
            if is_not_found(error):
                return False
            raise
        written.count += 1
        return True

    async def _create(
        self, key: tuple[str, ...], reference: Object, type_: str, reason: str, message: str, now: str
    ) -> None:
        namespace = reference.get("namespace") or "default"
        name = f"{reference['name']}.{int(self._clock.now().timestamp() * 1e9):x}"
        source = {"component": self._component} | ({"host": self._host} if self._host else {})
        await self._client.create(
            "v1", "events",
            {
                "apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": namespace},
                "involvedObject": reference, "reason": reason, "message": message, "source": source,
                "firstTimestamp": now, "lastTimestamp": now, "count": 1, "type": type_,
                "reportingComponent": self._component, "reportingInstance": self._host,
            },
        )  # fmt: skip
        _remember(self._written, key, _Written(name, 1, now))

    def _allowed(self, identity: tuple[str, ...]) -> bool:
        now = self._clock.monotonic()
        bucket = self._buckets.get(identity)
        if bucket is None:
            bucket = _remember(self._buckets, identity, _Bucket(SPAM_BURST, now))
        bucket.tokens = min(SPAM_BURST, bucket.tokens + (now - bucket.at) * SPAM_REFILL_PER_SECOND)
        bucket.at = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def _correlate(
        self, identity: tuple[str, ...], type_: str, reason: str, message: str
    ) -> tuple[tuple[str, ...], str]:
        now = self._clock.monotonic()
        kin = (*identity, type_, reason)
        similar = self._similar.get(kin)
        if similar is None or now - similar.since > AGGREGATE_WINDOW_SECONDS:
            similar = _remember(self._similar, kin, _Similar({}, now))
        similar.messages[message] = None
        if len(similar.messages) > AGGREGATE_AFTER:
            return kin, f"(combined from similar events): {message}"
        return (*kin, message), message


def _remember(table: OrderedDict[Any, Any], key: Any, value: Any) -> Any:
    table[key] = value
    table.move_to_end(key)
    if len(table) > REMEMBERED:
        table.popitem(last=False)
    return value
