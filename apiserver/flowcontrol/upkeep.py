"""Keeps the objects of flow control: what the cluster is born with comes back, and schemas say if their level exists.

The bootstrap objects are looked at once a minute; conditions follow changes at once.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import structlog

from apiserver.flowcontrol.bootstrap import GROUP, ensure_flow_control
from apiserver.registry.interface import ObjectReader, ObjectWriter
from machinery.meta.conditions import get_condition
from machinery.meta.errors import ApiError
from machinery.meta.objects import format_time
from machinery.runtime.clock import Clock

log = structlog.get_logger("apiserver.flowcontrol")
Object = dict[str, Any]
INTERVAL_SECONDS = 60.0


class Upkeep:
    def __init__(self, reader: ObjectReader, writer: ObjectWriter, clock: Clock) -> None:
        self._reader = reader
        self._writer = writer
        self._clock = clock
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        for resource in ("flowschemas", "prioritylevelconfigurations"):
            self._reader.on_change(GROUP, resource, lambda change, obj: self._changed.set())
        self._tasks = [
            asyncio.create_task(self._restore(), name="flowcontrol-restore"),
            asyncio.create_task(self._follow(), name="flowcontrol-conditions"),
        ]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _restore(self) -> None:
        while True:
            await self._clock.sleep(INTERVAL_SECONDS)
            try:
                await ensure_flow_control(self._reader, self._writer, self._clock)
            except ApiError as error:
                log.warning("flow control objects not restored, trying again in a minute", error=str(error))

    async def _follow(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            for schema in list(self._reader.list(GROUP, "flowschemas")):
                await self._sync(schema)

    async def _sync(self, schema: Object) -> None:
        name = schema["metadata"]["name"]
        change = partial(plan_condition, exists=self._exists, now=format_time(self._clock.now()))
        if change(schema) is None:
            return
        try:
            await self._writer.update(GROUP, "flowschemas", "", name, change, subresource="status")
        except ApiError as error:
            log.info("condition of a flow schema not written", name=name, error=str(error))

    def _exists(self, level: str) -> bool:
        return self._reader.get(GROUP, "prioritylevelconfigurations", "", level) is not None


def plan_condition(schema: Object, *, exists: Any, now: str) -> Object | None:
    """The schema with a true condition Dangling; None when it has one already."""
    level = schema["spec"]["priorityLevelConfiguration"]["name"]
    found = exists(level)
    text = f'This FlowSchema references the PriorityLevelConfiguration object named "{level}" ' + (
        "and it exists" if found else "but there is no such object"
    )
    wanted = {"status": "False" if found else "True", "reason": "Found" if found else "NotFound", "message": text}
    conditions = (schema.get("status") or {}).get("conditions") or []
    present = get_condition(conditions, "Dangling")
    if present is not None and all(present.get(key) == value for key, value in wanted.items()):
        return None
    at = present["lastTransitionTime"] if present and present.get("status") == wanted["status"] else now
    condition = {"type": "Dangling", **wanted, "lastTransitionTime": at}
    others = [each for each in conditions if each.get("type") != "Dangling"]
    return {**schema, "status": {**(schema.get("status") or {}), "conditions": [*others, condition]}}
