"""Seats and queues of one priority level.

A request that finds a seat takes it and costs next to nothing. Only a level that is full makes queues: a flow is dealt
a hand of them by its name and joins the shortest, so that a flow that floods meets the quiet ones in few of its
queues; seats that become free go round the queues.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
#: Requests that may be at work at the same time, over all levels.
TOTAL_SEATS = 600


class Rejected(Exception):
    """No seat: ``reason`` is concurrency-limit, queue-full or time-out."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Limits:
    """``seats`` None is exempt; ``queues`` 0 refuses at once."""

    seats: int | None
    queues: int = 0
    hand_size: int = 0
    queue_length: int = 0


def plan_limits(levels: Mapping[str, Object], total: int = TOTAL_SEATS) -> dict[str, Limits]:
    """What each level may do: its share of all seats, rounded up, and how it queues."""
    shares = {name: _shares(spec) for name, spec in levels.items()}
    whole = sum(shares.values())
    return {name: _limits(spec, shares[name], whole, total) for name, spec in levels.items()}


def _shares(spec: Object) -> int:
    if spec.get("type") == "Exempt":
        return int((spec.get("exempt") or {}).get("nominalConcurrencyShares") or 0)
    shares = (spec.get("limited") or {}).get("nominalConcurrencyShares")
    return 30 if shares is None else int(shares)


def _limits(spec: Object, shares: int, whole: int, total: int) -> Limits:
    if spec.get("type") == "Exempt":
        return Limits(None)
    seats = math.ceil(total * shares / whole) if whole else 0
    response = (spec.get("limited") or {}).get("limitResponse") or {}
    queuing = response.get("queuing") or {}
    if response.get("type") != "Queue":
        return Limits(seats)
    return Limits(
        seats, queuing.get("queues") or 64, queuing.get("handSize") or 8, queuing.get("queueLengthLimit") or 50
    )


def deal(flow: str, queues: int, hand_size: int) -> list[int]:
    """The queues of a flow: distinct, and the same every time."""
    value = int.from_bytes(hashlib.sha256(flow.encode()).digest()[:8], "big")
    left = list(range(queues))
    hand = []
    for _ in range(min(hand_size, queues)):
        value, card = divmod(value, len(left))
        hand.append(left.pop(card))
    return hand


class PriorityLevel:
    def __init__(self, name: str, uid: str, limits: Limits) -> None:
        self.name = name
        self.uid = uid
        self.limits = limits
        self.executing = 0
        self.waiting = 0
        self._queues: dict[int, deque[asyncio.Future[None]]] = {}
        self._turn: deque[int] = deque()  # queues with waiters, the next one first

    def try_acquire(self) -> bool:
        """A seat at once. Exempt levels count, too, but never run out."""
        seats = self.limits.seats
        if seats is not None and (self.executing >= seats or self.waiting):
            return False
        self.executing += 1
        return True

    async def acquire(self, flow: str, wait_seconds: float) -> None:
        """Wait for a seat in the flow's shortest queue. Raises ``Rejected``."""
        limits = self.limits
        if not limits.queues:
            raise Rejected("concurrency-limit")
        number = min(deal(flow, limits.queues, limits.hand_size), key=lambda each: len(self._queues.get(each, ())))
        queue = self._queues.setdefault(number, deque())
        if len(queue) >= limits.queue_length:
            raise Rejected("queue-full")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not queue:
            self._turn.append(number)
        queue.append(turn)
        self.waiting += 1
        try:
            async with asyncio.timeout(wait_seconds):
                await turn
        except TimeoutError:
            self._leave(number, turn)
            raise Rejected("time-out") from None
        except asyncio.CancelledError:
            self._leave(number, turn)
            raise

    def _leave(self, number: int, turn: asyncio.Future[None]) -> None:
        """A waiter gives up; a seat that it was given at the same moment goes on to the next."""
        queue = self._queues.get(number)
        if queue is not None and turn in queue:
            queue.remove(turn)
            self.waiting -= 1
            if not queue:
                del self._queues[number]
                self._turn.remove(number)
        elif turn.done() and not turn.cancelled():
            self.release()

    def release(self) -> None:
        self.executing -= 1
        self.dispatch()

    def dispatch(self) -> None:
        """Give free seats to waiters, one queue after another."""
        seats = self.limits.seats
        while self._turn and (seats is None or self.executing < seats):
            number = self._turn.popleft()
            queue = self._queues[number]
            turn = queue.popleft()
            if queue:
                self._turn.append(number)
            else:
                del self._queues[number]
            self.waiting -= 1
            if not turn.done():
                self.executing += 1
                turn.set_result(None)
