"""One client's watch: a bounded queue of shared events.

The cacher pushes, the response writer takes. A writer that does not keep up is ended, never waited for: its client
comes back with the revision it has.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Literal

from apiserver.storage.cacher.events import BOOKMARK, Change, WatchEvent
from apiserver.storage.cacher.predicate import Predicate

QUEUE_EVENTS = 1000

Ended = Literal["", "closed", "slow", "lost"]


class Watcher:
    """Async iterator over events; :meth:`take` gives all that wait at once, so that one write carries them."""

    __slots__ = (
        "_detach", "_floor", "_limit", "_queue", "_selective", "_usual_limit", "_waiter", "bookmarks", "ended",
        "predicate", "revision",
    )

    def __init__(
        self, predicate: Predicate, revision: int, initial: Iterable[WatchEvent], *, bookmarks: bool,
        detach: Callable[[Watcher], None], limit: int = QUEUE_EVENTS,
    ) -> None:
        self.predicate = predicate
        self.revision = revision  # invariant: every event up to it has been put into the queue
        self._floor = revision  # where it began; may lie in the future, then it is silent up to there
        self.bookmarks = bookmarks
        self.ended: Ended = ""
        self._selective = predicate.selective or bool(predicate.namespace)
        self._queue: deque[WatchEvent] = deque(initial)
        self._limit = limit + len(self._queue)  # until the first are read: they are not the reader's fault
        self._usual_limit = limit
        self._detach = detach
        self._waiter: asyncio.Future[None] | None = None

    def offer(self, change: Change) -> None:
        if change.revision <= self._floor:
            return
        self.revision = change.revision
        event = change.seen_by(self.predicate) if self._selective else change.plain
        if event is not None:
            self._put(event)

    def offer_bookmark(self, revision: int) -> None:
        """Everything up to ``revision`` is in the queue. Says nothing when the queue is full of news anyway."""
        if self.bookmarks and revision >= self.revision and len(self._queue) < self._limit:
            self.revision = revision
            self._put(WatchEvent(BOOKMARK, None, revision))

    def _put(self, event: WatchEvent) -> None:
        queue = self._queue
        if len(queue) >= self._limit:
            self.end("slow")
            return
        queue.append(event)
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    async def take(self) -> list[WatchEvent]:
        """All waiting events, at least one; an empty list means the watch has ended (:attr:`ended` says why)."""
        await self._wait()
        events = list(self._queue)
        self._queue.clear()
        self._limit = self._usual_limit
        return events

    def __aiter__(self) -> Watcher:
        return self

    async def __anext__(self) -> WatchEvent:
        await self._wait()
        if not self._queue:
            raise StopAsyncIteration
        self._limit = max(self._usual_limit, len(self._queue))
        return self._queue.popleft()

    async def _wait(self) -> None:
        while not self._queue and not self.ended:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def close(self) -> None:
        self.end("closed")

    def end(self, why: Ended) -> None:
        """Stop. A slow reader loses what waits (it would arrive too late); otherwise the queue can still be taken."""
        if self.ended:
            return
        self.ended = why
        if why != "lost":
            self._queue.clear()
        self._detach(self)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        self._waiter = None
