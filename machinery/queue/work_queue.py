"""The work queue of a controller: keys, each at most once in the queue and never worked on twice at a time.

The states of a key, and the invariants between the sets:

* ``_queued`` (ordered): waiting for a worker. ``_dirty`` = must be processed; every queued key is dirty.
* ``_active``: a worker holds it. An active key that is added again becomes dirty but is NOT queued until ``done``:
  one worker a key, and nothing that happened during the work is lost.
* delayed keys live in a heap and enter by ``add`` when due; the earliest wish for a key wins.

Rate limiting is per key: 5 ms, doubling with each ``add_rate_limited`` until 1000 s, reset by ``forget`` (the limits of
client-go's default item-exponential-failure limiter).
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class ShutDown(Exception):
    """get() on a queue that was shut down and is drained."""


class WorkQueue(Generic[K]):
    """One queue on one event loop; not thread-safe."""

    def __init__(self, name: str = "", *, base_delay_seconds: float = 0.005, max_delay_seconds: float = 1000.0) -> None:
        self.name = name
        self._base = base_delay_seconds
        self._max = max_delay_seconds
        self._queued: deque[K] = deque()
        self._dirty: set[K] = set()
        self._active: set[K] = set()
        self._failures: dict[K, int] = {}
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._serial = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0  # kept here: uvloop returns a handle without when() for a time that has come
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._shut = False

    def __len__(self) -> int:
        return len(self._queued)

    def is_idle(self) -> bool:
        """Nothing queued, nothing being worked on (delayed keys do not count)."""
        return not self._queued and not self._active

    def add(self, key: K) -> None:
        if self._shut or key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._active:
            self._queued.append(key)
            self._wake()

    def add_after(self, key: K, seconds: float) -> None:
        """Add the key once ``seconds`` have passed; an earlier pending wish for the same key stands."""
        if seconds <= 0:
            self.add(key)
            return
        if self._shut:
            return
        due = asyncio.get_running_loop().time() + seconds
        if self._due.get(key, float("inf")) <= due:
            return
        self._due[key] = due
        self._serial += 1
        heapq.heappush(self._heap, (due, self._serial, key))
        self._arm()

    def add_rate_limited(self, key: K) -> None:
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.add_after(key, min(self._base * 2.0 ** min(failures, 60), self._max))

    def forget(self, key: K) -> None:
        """The key succeeded: its next failure starts from the shortest delay again."""
        self._failures.pop(key, None)

    def requeues(self, key: K) -> int:
        return self._failures.get(key, 0)

    async def get(self) -> K:
        """The next key; it is this caller's until ``done``. Raises :class:`ShutDown`."""
        while not self._queued:
            if self._shut:
                raise ShutDown(self.name)
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
                elif self._queued:
                    self._wake()  # this waiter was chosen and leaves: pass the turn on
                raise
        key = self._queued.popleft()
        self._dirty.discard(key)
        self._active.add(key)
        return key

    def done(self, key: K) -> None:
        self._active.discard(key)
        if key in self._dirty:
            self._queued.append(key)
            self._wake()

    def shut_down(self) -> None:
        """No new keys; workers get what is queued and then :class:`ShutDown`."""
        self._shut = True
        if self._timer is not None:
            self._timer.cancel()
        self._heap.clear()
        self._due.clear()
        while self._waiters:
            self._wake()

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _arm(self) -> None:
        if self._timer is not None:
            if self._heap and self._timer_due <= self._heap[0][0]:
                return
            self._timer.cancel()
            self._timer = None
        if self._heap:
            self._timer_due = self._heap[0][0]
            self._timer = asyncio.get_running_loop().call_at(self._timer_due, self._release)

    def _release(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._heap and self._heap[0][0] <= now:
            due, _, key = heapq.heappop(self._heap)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)
        self._arm()
