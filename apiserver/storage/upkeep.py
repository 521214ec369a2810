"""What an engine does by itself: delete what has expired, forget old history.

Both go through the ordinary writes, so an expiry is a delete with a revision and an event like any other. (etcd expires
leases itself and uses only the compaction.)
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable, Iterable

from apiserver.storage.interface import Compacted, RevisionMismatch, Storage, StorageError

LOG = logging.getLogger(__name__)

KEEP_SECONDS = 300.0  # how long history is kept, at least; at most twice that
RETRY_SECONDS = 1.0


class Upkeep:
    def __init__(self, storage: Storage, clock: Callable[[], float], keep_seconds: float = KEEP_SECONDS) -> None:
        self._storage = storage
        self._clock = clock
        self._keep_seconds = keep_seconds
        self._deadlines: list[tuple[float, str, int]] = []  # heap; overwritten keys are noticed when they come up
        self._earlier = asyncio.Event()  # the head of the heap may have changed
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, name: str) -> None:
        self._tasks = [
            asyncio.create_task(self._run_expiry(), name=f"{name}-expiry"),
            asyncio.create_task(self._run_compaction(), name=f"{name}-compaction"),
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def load_deadlines(self, deadlines: Iterable[tuple[float, str, int]]) -> None:
        """(time, key, revision) of everything that had a TTL when the engine was last closed."""
        self._deadlines = list(deadlines)
        heapq.heapify(self._deadlines)

    def add_deadline(self, key: str, revision: int, ttl_seconds: int) -> None:
        heapq.heappush(self._deadlines, (self._clock() + ttl_seconds, key, revision))
        self._earlier.set()

    async def expire(self) -> None:
        """Delete every key whose time has come and that was not written since."""
        due = []
        while self._deadlines and self._deadlines[0][0] <= self._clock():
            due.append(heapq.heappop(self._deadlines))
        outcomes = await asyncio.gather(
            *(self._storage.delete(key, expected_revision=revision) for _, key, revision in due), return_exceptions=True
        )
        for deadline, outcome in zip(due, outcomes, strict=True):
            if isinstance(outcome, StorageError) and not isinstance(outcome, RevisionMismatch):
                heapq.heappush(self._deadlines, deadline)  # full or unavailable: try again
                LOG.warning("cannot delete the expired key %s: %s", deadline[1], outcome)
            elif isinstance(outcome, BaseException) and not isinstance(outcome, RevisionMismatch):
                raise outcome

    async def _run_expiry(self) -> None:
        while True:
            await self.expire()
            self._earlier.clear()
            wait = None
            if self._deadlines:
                late = self._deadlines[0][0] - self._clock()
                wait = late if late > 0 else RETRY_SECONDS
            try:
                await asyncio.wait_for(self._earlier.wait(), wait)
            except TimeoutError:
                pass

    async def _run_compaction(self) -> None:
        revision = 0
        while True:
            try:
                if revision:
                    await self._storage.compact(revision)
                revision = await self._storage.current_revision()
            except Compacted:
                pass
            except StorageError as error:
                LOG.warning("cannot compact the store: %s", error)
            await asyncio.sleep(self._keep_seconds)
