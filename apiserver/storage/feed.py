"""follow() and watch() for every engine, over its hub and its history.

Both start the same way: read history up to some revision, and once what is missing lies in the hub's ring, go live in
one step without an await, so that nothing can slip between.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator

from apiserver.storage.hub import EventHub, HubSubscription
from apiserver.storage.interface import Compacted, EventSink, LossSink, StorageError, StoreEvent, Subscription

QUEUE_EVENTS = 4096
PROGRESS_SECONDS = 60.0


class Feed(ABC):
    """Base of the engines: owns the hub, knows how to catch up."""

    def __init__(self, hub: EventHub, *, progress_seconds: float = PROGRESS_SECONDS) -> None:
        self._hub = hub
        self._compacted = 0  # oldest revision that is served
        self._progress_seconds = progress_seconds

    @abstractmethod
    def _history(self, prefix: str, after: int, upto: int) -> AsyncIterator[StoreEvent]:
        """Events under ``prefix`` with after < revision <= upto, from what the engine keeps. Raises Compacted."""

    async def follow(self, prefix: str, *, revision: int, sink: EventSink, lost: LossSink) -> Subscription:
        position = revision or self._hub.revision
        while self._needs_history(position):
            upto = self._hub.revision
            async for event in self._history(prefix, position, upto):
                sink(event)
            position = upto
        return self._go_live(prefix, position, sink, lost)

    def watch(self, prefix: str, *, revision: int) -> AsyncIterator[StoreEvent]:
        return WatchStream(self, prefix, revision or self._hub.revision)

    def _needs_history(self, position: int) -> bool:
        if position < self._compacted:
            raise Compacted(position, self._compacted)
        return position < self._hub.floor

    def _go_live(self, prefix: str, position: int, sink: EventSink, lost: LossSink) -> HubSubscription:
        for event in self._hub.since(prefix, position):
            sink(event)
        return self._hub.attach(prefix, max(position, self._hub.revision), sink, lost)


class WatchStream(AsyncIterator[StoreEvent]):
    """A pulled watch. A reader that falls behind costs no memory: its queue is dropped, it catches up from history."""

    def __init__(self, feed: Feed, prefix: str, revision: int) -> None:
        self._feed = feed
        self._prefix = prefix
        self._position = revision  # everything up to here has been returned
        self._queue: deque[StoreEvent] = deque()
        self._replay: AsyncIterator[StoreEvent] | None = None
        self._replay_upto = 0
        self._live: HubSubscription | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._error: StorageError | None = None
        self._closed = False

    def __aiter__(self) -> WatchStream:
        return self

    async def __anext__(self) -> StoreEvent:
        while not self._closed:
            if self._queue:
                event = self._queue.popleft()
                self._position = event.revision
                return event
            if self._error is not None:
                await self.aclose()
                raise self._error
            if self._live is None:
                replayed = await self._catch_up()
                if replayed is not None:
                    return replayed
            elif not await self._wait() and self._feed._hub.revision > self._position:
                self._position = self._feed._hub.revision
                return StoreEvent("progress", "", b"", self._position)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._closed = True
        if self._live is not None:
            self._live.close()
            self._live = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _catch_up(self) -> StoreEvent | None:
        """One replayed event, or None after going live."""
        feed = self._feed
        if self._replay is None:
            if not feed._needs_history(self._position):
                self._live = feed._go_live(self._prefix, self._position, self._push, self._lose)
                return None
            self._replay_upto = feed._hub.revision
            self._replay = feed._history(self._prefix, self._position, self._replay_upto)
        async for event in self._replay:
            self._position = event.revision
            return event
        self._replay = None
        self._position = self._replay_upto
        return None

    async def _wait(self) -> bool:
        """True if something may have happened, False after the progress interval."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait_for(self._waiter, self._feed._progress_seconds)
            return True
        except TimeoutError:
            return bool(self._queue)
        finally:
            self._waiter = None

    def _push(self, event: StoreEvent) -> None:
        if len(self._queue) >= QUEUE_EVENTS:
            self._queue.clear()
            if self._live is not None:
                self._live.close()
                self._live = None
        else:
            self._queue.append(event)
        self._wake()

    def _lose(self, error: StorageError) -> None:
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
