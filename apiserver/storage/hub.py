"""The event hub: where committed writes meet those who wait for them.

An engine publishes every committed event here, in revision order, in the event loop and before the writer's await
returns. Followers are called synchronously, so a copy that is fed from the hub is never behind a write that this
process has acknowledged. Nobody polls.

The hub keeps a short ring of recent events only to close the gap between "history was read up to X" and "live from
now"; older events are the engine's history.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from apiserver.storage.interface import EventSink, FutureRevision, LossSink, StorageError, StoreEvent

LOG = logging.getLogger(__name__)

RING_EVENTS = 1024
NUDGE_SECONDS = 0.1  # a remote engine's stream is normally quicker than this


class HubSubscription:
    """One follower. Satisfies :class:`apiserver.storage.interface.Subscription`."""

    __slots__ = ("_floor", "_hub", "_lost", "closed", "prefix", "sink")

    def __init__(self, hub: EventHub, prefix: str, floor: int, sink: EventSink, lost: LossSink) -> None:
        self._hub = hub
        self._floor = floor  # a watch from a future revision stays silent up to it
        self._lost = lost
        self.closed = False
        self.prefix = prefix
        self.sink = sink

    @property
    def revision(self) -> int:
        return max(self._hub.revision, self._floor)  # the follower began with what was there at the floor

    def offer(self, event: StoreEvent) -> None:
        """One follower's mistake must not keep an event from the others or its answer from the writer."""
        if event.revision > self._floor and not self.closed:
            try:
                self.sink(event)
            except Exception:
                LOG.exception("a follower of %s failed at revision %d", self.prefix, event.revision)

    def lose(self, error: StorageError) -> None:
        if not self.closed:
            self.closed = True
            self._lost(error)

    async def wait(self, revision: int, timeout_seconds: float) -> None:
        if revision > self._floor:
            await self._hub.wait(revision, timeout_seconds)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._hub.detach(self)


class EventHub:
    """Ring of recent events, followers by prefix, waiters by revision. Used from one event loop only."""

    def __init__(self, *, capacity: int = RING_EVENTS, nudge: Callable[[], Awaitable[None]] | None = None) -> None:
        self.revision = 0
        self.floor = 0  # invariant: every event with floor < revision <= self.revision is in the ring
        self._capacity = capacity
        self._nudge = nudge  # makes a remote engine's stream move when it is behind for no visible reason
        self._ring: deque[StoreEvent] = deque()
        self._by_folder: dict[str, list[HubSubscription]] = {}
        self._by_other: list[HubSubscription] = []  # prefixes that do not end in "/"
        self._waiters: list[tuple[int, int, asyncio.Future[None]]] = []
        self._sequence = itertools.count()

    def reset(self, revision: int) -> None:
        """Start (again) at ``revision`` with nothing remembered."""
        self._ring.clear()
        self.floor = self.revision = revision
        self._wake()

    def publish(self, events: Sequence[StoreEvent]) -> None:
        ring = self._ring
        for event in events:
            ring.append(event)
            if len(ring) > self._capacity:
                self.floor = ring.popleft().revision
            self.revision = event.revision
            self._deliver(event)
        if self._waiters:
            self._wake()

    def advance(self, revision: int) -> None:
        """Nothing happened up to ``revision`` that has not been published."""
        if revision > self.revision:
            self.revision = revision
            self._wake()

    def since(self, prefix: str, revision: int) -> list[StoreEvent]:
        """Events after ``revision`` under ``prefix``; the caller has checked ``revision >= floor``."""
        found = []
        for event in reversed(self._ring):
            if event.revision <= revision:
                break
            if event.key.startswith(prefix):
                found.append(event)
        found.reverse()
        return found

    def attach(self, prefix: str, floor: int, sink: EventSink, lost: LossSink) -> HubSubscription:
        subscription = HubSubscription(self, prefix, floor, sink, lost)
        self._bucket(prefix).append(subscription)
        return subscription

    def detach(self, subscription: HubSubscription) -> None:
        bucket = self._bucket(subscription.prefix)
        if subscription in bucket:
            bucket.remove(subscription)
        if not bucket:
            self._by_folder.pop(subscription.prefix, None)

    def lose_all(self, error: StorageError) -> None:
        """The stream behind the hub broke beyond repair: every follower has to start over."""
        everyone = [*itertools.chain.from_iterable(self._by_folder.values()), *self._by_other]
        self._by_folder.clear()
        self._by_other.clear()
        for subscription in everyone:
            subscription.lose(error)

    async def wait(self, revision: int, timeout_seconds: float, *, nudge: bool = True) -> None:
        if revision <= self.revision:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiters, (revision, next(self._sequence), waiter))
        if nudge and self._nudge is not None:
            patience = min(NUDGE_SECONDS, timeout_seconds)
            await asyncio.wait((waiter,), timeout=patience)
            if not waiter.done():
                await self._nudge()
            timeout_seconds -= patience
        if not waiter.done():
            await asyncio.wait((waiter,), timeout=timeout_seconds)
        if not waiter.done():
            waiter.cancel()
            raise FutureRevision(revision, self.revision)

    def _bucket(self, prefix: str) -> list[HubSubscription]:
        return self._by_folder.setdefault(prefix, []) if prefix.endswith("/") else self._by_other

    def _deliver(self, event: StoreEvent) -> None:
        """Only the folders above the key are looked at, so a write costs the same with 10 or 10,000 followers."""
        key = event.key
        folders = self._by_folder
        slash = key.find("/")
        while slash >= 0:
            bucket = folders.get(key[: slash + 1])
            if bucket:
                for subscription in tuple(bucket):
                    subscription.offer(event)
            slash = key.find("/", slash + 1)
        for subscription in tuple(self._by_other):
            if key.startswith(subscription.prefix):
                subscription.offer(event)

    def _wake(self) -> None:
        waiters = self._waiters
        while waiters and waiters[0][0] <= self.revision:
            waiter = heapq.heappop(waiters)[2]
            if not waiter.done():
                waiter.set_result(None)
