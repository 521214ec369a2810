"""The scheduling queue: what is tried next, what waits out a back-off, what waits for the cluster to change.

A pod is in exactly one of four places:

* *active*: a heap by priority (higher first), then by the time it was queued;
* *backoff*: it failed lately; it becomes active when its back-off (1 s, doubling to 10 s) ends, or earlier when there
  is nothing else to do;
* *unschedulable*: it fits nowhere; it moves on when something happened that may have helped (by the plugins that
  refused it), or after five minutes;
* *in flight*: popped and being decided. What happens to the cluster meanwhile is remembered, so that a pod that fails
  by a stale view goes to backoff instead of waiting for the next event.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from scheduler.pod_info import PodInfo

FIRST_BACKOFF_SECONDS = 1.0
MAX_BACKOFF_SECONDS = 10.0
FLUSH_AFTER_SECONDS = 300.0

#: What happened -> the plugins whose refusal it may cure. None: it may cure anything.
HINTS: dict[str, frozenset[str] | None] = {
    "node": None,
    "pod-gone": frozenset({"NodeResourcesFit", "NodePorts", "InterPodAffinity", "PodTopologySpread"}),
    "pod-bound": frozenset({"InterPodAffinity", "PodTopologySpread"}),
    "volume": frozenset({"VolumeBinding"}),
    "namespace": frozenset({"InterPodAffinity"}),
}


@dataclass(slots=True)
class QueuedPod:
    info: PodInfo
    queued_at: float
    attempts: int = 0
    failed_at: float = 0.0
    failed_plugins: frozenset[str] = frozenset()
    moves_seen: int = 0
    place: str = ""
    serial: int = field(default=0)

    def backoff_until(self) -> float:
        if not self.attempts:
            return 0.0
        return self.failed_at + min(FIRST_BACKOFF_SECONDS * 2.0 ** (self.attempts - 1), MAX_BACKOFF_SECONDS)


class SchedulingQueue:
    """One queue on one event loop. ``monotonic`` is the clock's."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._pods: dict[str, QueuedPod] = {}
        self._active: list[tuple[int, float, int, str]] = []
        self._serial = 0
        self._arrived = asyncio.Event()
        self._moves: list[str] = []

    def __len__(self) -> int:
        return sum(1 for pod in self._pods.values() if pod.place != "flying")

    def count(self, place: str) -> int:
        """Pods in "active", "backoff", "unschedulable" or "flying"."""
        return sum(1 for pod in self._pods.values() if pod.place == place)

    def add(self, info: PodInfo) -> None:
        """A pod that wants a node; known pods are updated, and tried again when they changed."""
        known = self._pods.get(info.key)
        if known is None or known.info.uid != info.uid:
            known = self._pods[info.key] = QueuedPod(info, self._monotonic())
            self._activate(known)
            return
        changed = known.info.signature != info.signature or known.info.priority != info.priority
        known.info = info
        if changed and known.place == "unschedulable":
            self._release(known)

    def remove(self, key: str) -> None:
        self._pods.pop(key, None)

    def pop_now(self) -> QueuedPod | None:
        """The next pod to decide on, or None when there is nothing (back-offs are cut short for want of work)."""
        self._expire()
        while self._active:
            _, _, serial, key = heapq.heappop(self._active)
            pod = self._pods.get(key)
            if pod is not None and pod.place == "active" and pod.serial == serial:
                pod.place = "flying"
                pod.moves_seen = len(self._moves)
                return pod
        return None

    async def pop(self) -> QueuedPod:
        while True:
            pod = self.pop_now()
            if pod is not None:
                return pod
            self._arrived.clear()
            waiting = [p.backoff_until() for p in self._pods.values() if p.place == "backoff"]
            flushes = [p.failed_at + FLUSH_AFTER_SECONDS for p in self._pods.values() if p.place == "unschedulable"]
            due = min([*waiting, *flushes], default=None)
            timeout = None if due is None else max(due - self._monotonic(), 0.001)
            try:
                await asyncio.wait_for(self._arrived.wait(), timeout)
            except TimeoutError:
                continue

    def done(self, pod: QueuedPod) -> None:
        """Bound, or gone for another reason."""
        if self._pods.get(pod.info.key) is pod:
            del self._pods[pod.info.key]
        self._trim()

    def failed(self, pod: QueuedPod, plugins: frozenset[str], *, retry: bool = False) -> None:
        """It fits nowhere now (or an error happened: ``retry``)."""
        if self._pods.get(pod.info.key) is not pod:
            return
        pod.attempts += 1
        pod.failed_at = self._monotonic()
        pod.failed_plugins = plugins
        missed = self._moves[pod.moves_seen :]
        if retry or any(_cures(event, plugins) for event in missed):
            pod.place = "backoff"
            self._arrived.set()
        else:
            pod.place = "unschedulable"
        self._trim()

    def move(self, event: str) -> None:
        """Something happened (a key of HINTS): pods it may help are tried again."""
        if any(pod.place == "flying" for pod in self._pods.values()):
            self._moves.append(event)
        for pod in self._pods.values():
            if pod.place == "unschedulable" and _cures(event, pod.failed_plugins):
                self._release(pod)

    def activate(self, key: str) -> None:
        """Try this pod at once, without back-off (its preemption has made room)."""
        pod = self._pods.get(key)
        if pod is not None and pod.place in ("backoff", "unschedulable"):
            self._activate(pod)

    def _release(self, pod: QueuedPod) -> None:
        if pod.backoff_until() > self._monotonic():
            pod.place = "backoff"
            self._arrived.set()
        else:
            self._activate(pod)

    def _activate(self, pod: QueuedPod) -> None:
        self._serial += 1
        pod.place, pod.serial = "active", self._serial
        heapq.heappush(self._active, (-pod.info.priority, pod.queued_at, self._serial, pod.info.key))
        self._arrived.set()

    def _expire(self) -> None:
        if self._active and len(self._pods) == len(self._active):
            return
        now = self._monotonic()
        for pod in self._pods.values():
            if (pod.place == "backoff" and pod.backoff_until() <= now) or (
                pod.place == "unschedulable" and pod.failed_at + FLUSH_AFTER_SECONDS <= now
            ):
                self._activate(pod)

    def _trim(self) -> None:
        if self._moves and not any(pod.place == "flying" for pod in self._pods.values()):
            self._moves.clear()


def _cures(event: str, plugins: frozenset[str]) -> bool:
    cured = HINTS[event]
    return cured is None or not plugins or bool(cured & plugins)
