"""Background tasks with a name, an owner and an end.

A :class:`Tasks` group owns what it spawned. A task that fails is logged at once with its name and makes ``wait``
raise; ``stop`` cancels all and waits until they have ended. Cancellation is never swallowed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any

import structlog

log = structlog.get_logger(__name__)


class Tasks:
    """Named tasks of one owner. ``on failure`` the group ends: a half-alive component helps nobody."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failed: asyncio.Future[None] | None = None
        self._stopping = False

    def spawn(self, name: str, coroutine: Coroutine[Any, Any, Any], *, may_end: bool = False) -> asyncio.Task[Any]:
        """Start a task. Unless ``may_end``, returning by itself counts as a failure."""
        task = asyncio.get_running_loop().create_task(coroutine, name=f"{self.owner}/{name}")
        self._tasks.add(task)
        task.add_done_callback(lambda ended: self._ended(ended, may_end))
        return task

    def _ended(self, task: asyncio.Task[Any], may_end: bool) -> None:
        self._tasks.discard(task)
        if task.cancelled() or self._stopping:
            return
        error = task.exception()
        if error is None and not may_end:
            error = RuntimeError(f"{task.get_name()} ended by itself")
        if error is None:
            return
        log.error("task failed", task=task.get_name(), error=repr(error), exc_info=error)
        if self._failed is None:
            self._failed = task.get_loop().create_future()
        if not self._failed.done():
            self._failed.set_exception(error)

    async def wait(self) -> None:
        """Until a task fails; raises its error."""
        if self._failed is None:
            self._failed = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._failed)

    async def unless_failed(self, awaited: Awaitable[Any]) -> None:
        """Wait for something the tasks bring about; raises at once when one of them fails instead."""
        waiting = asyncio.ensure_future(awaited)
        failing = asyncio.ensure_future(self.wait())
        try:
            await asyncio.wait({waiting, failing}, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                waiting.result()
            else:
                failing.result()
        finally:
            for task in (waiting, failing):
                task.cancel()
            await asyncio.gather(waiting, failing, return_exceptions=True)

    async def stop(self) -> None:
        """Cancel everything, last first, and wait for the end."""
        self._stopping = True
        tasks = list(self._tasks)
        for task in reversed(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._failed is not None and self._failed.done() and not self._failed.cancelled():
            self._failed.exception()

    async def __aenter__(self) -> Tasks:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
