"""Keeps the objects of flow control: what the cluster is born with comes back, and schemas say if their level exists.

The bootstrap objects are looked at once a minute; conditions follow changes at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from apiserver.flowcontrol.bootstrap import CONSUMER, GROUP, FlowControlWriter, dangling, ensure_flow_control
from apiserver.registry.interface import ObjectReader
from machinery.meta.conditions import get_condition
from machinery.meta.errors import ApiError
from machinery.meta.objects import format_time
from machinery.runtime.clock import Clock

log = structlog.get_logger("apiserver.flowcontrol")
Object = dict[str, Any]
INTERVAL_SECONDS = 60.0


class Upkeep:
    def __init__(self, reader: ObjectReader, writer: FlowControlWriter, clock: Clock) -> None:
        self._reader = reader
        self._writer = writer
        self._clock = clock
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        for resource in ("flowschemas", "prioritylevelconfigurations"):
            self._reader.on_change(GROUP, resource, lambda change, obj: self._changed.set())
        self._tasks = [
            asyncio.create_task(self._restore_again(), name="flowcontrol-restore"),
            asyncio.create_task(self._follow(), name="flowcontrol-conditions"),
        ]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def restore(self) -> None:
        """A webhook that refuses these writes must not keep the server from starting."""
        try:
            await ensure_flow_control(self._reader, self._writer, self._clock)
        except ApiError as error:
            log.warning("flow control objects not restored, trying again in a minute", error=str(error))

    async def _restore_again(self) -> None:
        while True:
            await self._clock.sleep(INTERVAL_SECONDS)
            await self.restore()

    async def _follow(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            for schema in list(self._reader.list(GROUP, "flowschemas")):
                await self._sync(schema)

    async def _sync(self, schema: Object) -> None:
        condition = plan_condition(schema, exists=self._exists, now=format_time(self._clock.now()))
        if condition is None:
            return
        name = schema["metadata"]["name"]
        try:
            await self._writer.apply_status(
                GROUP, "flowschemas", "", name, {"conditions": [condition]}, manager=CONSUMER
            )
        except ApiError as error:
            log.info("condition of a flow schema not written", name=name, error=str(error))

    def _exists(self, level: str) -> bool:
        return self._reader.get(GROUP, "prioritylevelconfigurations", "", level) is not None


def plan_condition(schema: Object, *, exists: Callable[[str], bool], now: str) -> Object | None:
    """The condition Dangling as it should be; None when it is."""
    level = schema["spec"]["priorityLevelConfiguration"]["name"]
    wanted = dangling(level, exists=exists(level), at=now)
    present = get_condition((schema.get("status") or {}).get("conditions") or [], "Dangling")
    if present is None:
        return wanted
    if present.get("status") == wanted["status"]:
        wanted["lastTransitionTime"] = present["lastTransitionTime"]
    return None if present == wanted else wanted
