"""The loop of a controller: keys from a queue, one ``sync`` each, retried with back-off.

A controller is level-based: ``sync(key)`` looks at the present state and moves it a step; it may be called at any time,
for any key, any number of times. What ``sync`` returns is the sentence that is logged (a decision), or None for
"nothing to do". It may raise: the key comes back later. A conflict or a not-found is ordinary weather.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Any

import structlog

from machinery.client import ConnectError
from machinery.meta.errors import ApiError, is_conflict, is_not_found
from machinery.meta.objects import object_key
from machinery.queue import ShutDown, WorkQueue

log = structlog.get_logger(__name__)


class Controller(ABC):
    """Subclasses wire informer handlers to ``enqueue`` in their constructor and implement ``sync``."""

    name = "controller"

    def __init__(self) -> None:
        self.queue: WorkQueue[str] = WorkQueue(self.name)

    @abstractmethod
    async def sync(self, key: str) -> str | None:
        """Move the object of ``key`` towards what is desired. Returns what was decided, for the log."""

    async def wait_synced(self) -> None:  # noqa: B027 (optional to override)
        """Until the caches this controller reads are filled; overridden by those that have caches."""

    def enqueue(self, obj: dict[str, Any]) -> None:
        self.queue.add(object_key(obj))

    def enqueue_update(self, _old: dict[str, Any], new: dict[str, Any]) -> None:
        self.queue.add(object_key(new))

    async def run(self, workers: int = 2) -> None:
        """Work until cancelled."""
        await self.wait_synced()
        log.debug("controller started", controller=self.name, workers=workers)
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(workers):
                    group.create_task(self._work(), name=f"{self.name}-{number}")
        finally:
            self.queue.shut_down()

    async def _work(self) -> None:
        while True:
            try:
                key = await self.queue.get()
            except ShutDown:
                return
            try:
                await self.process(key)
            finally:
                self.queue.done(key)

    async def process(self, key: str) -> None:
        """One sync with its error handling; tests call it to step a controller by hand."""
        try:
            decided = await self.sync(key)
        except ApiError as error:
            ordinary = is_conflict(error) or is_not_found(error)
            log.log(10 if ordinary else 30, "sync failed, will retry", controller=self.name, key=key,
                    reason=error.reason, error=error.message)  # fmt: skip
            self.queue.add_rate_limited(key)
        except ConnectError as error:
            log.debug("sync failed, no connection", controller=self.name, key=key, error=str(error))
            self.queue.add_rate_limited(key)
        except Exception as error:
            log.error("sync failed by a defect", controller=self.name, key=key, error=repr(error), exc_info=error)
            self.queue.add_rate_limited(key)
        else:
            self.queue.forget(key)
            if decided:
                log.info(decided, controller=self.name, key=key)
