"""Follows definitions: accepts names, opens and closes the resources, takes objects along when a definition goes.

Level-based: ``sync(name)`` looks at the definition as it is and makes the table agree. One task works through a queue of
names, so that two changes of one definition never run at the same time.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import structlog

from apiserver.crd.definitions import is_established, plan_names, stored_row, versions_of
from apiserver.registry import deletion
from apiserver.registry.access import SERVER_USER, RegistryReader, RegistryWriter
from apiserver.registry.custom import CustomKind
from apiserver.registry.resources import Resources
from apiserver.registry.strategies.customresources import CLEANUP
from apiserver.registry.strategy import Write
from machinery.api.table import KindTable
from machinery.meta.conditions import set_condition
from machinery.meta.errors import ApiError, is_conflict, is_not_found
from machinery.meta.objects import Object, format_time

log = structlog.get_logger("apiserver.crd")

GROUP, RESOURCE = "apiextensions.k8s.io", "customresourcedefinitions"
RETRY_SECONDS = 1.0


class DefinitionController:
    def __init__(
        self, kinds: KindTable, resources: Resources, reader: RegistryReader, writer: RegistryWriter
    ) -> None:
        self._kinds = kinds
        self._resources = resources
        self._reader = reader
        self._writer = writer
        self._served: dict[str, list[CustomKind]] = {}
        #: What the rows of a definition were made of.
        self._parts: dict[str, Any] = {}
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._waiting: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when every definition that was stored is served."""
        for definition in list(self._reader.list(GROUP, RESOURCE)):
            if is_established(definition):
                await self._serve(definition)
        self._reader.on_change(GROUP, RESOURCE, self._changed)
        self._task = asyncio.create_task(self._run(), name="definitions")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _changed(self, change: str, definition: Object) -> None:
        """One that comes, changes or goes may take names from others of its group, or leave them."""
        self._enqueue(definition["metadata"]["name"])
        for other in self._reader.list(GROUP, RESOURCE):
            if other["spec"]["group"] == definition["spec"]["group"]:
                self._enqueue(other["metadata"]["name"])

    def _enqueue(self, name: str) -> None:
        if name not in self._waiting:
            self._waiting.add(name)
            self._queue.put_nowait(name)

    async def _run(self) -> None:
        while True:
            name = await self._queue.get()
            self._waiting.discard(name)
            try:
                await self.sync(name)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                if not (isinstance(error, ApiError) and (is_conflict(error) or is_not_found(error))):
                    log.error("definition not synced", name=name, error=repr(error))
                asyncio.get_running_loop().call_later(RETRY_SECONDS, self._enqueue, name)

    async def sync(self, name: str) -> None:
        definition = self._reader.get(GROUP, RESOURCE, "", name)
        if definition is None:
            await self._withdraw(name)
            return
        if definition["metadata"].get("deletionTimestamp"):
            if is_established(definition):
                await self._serve(definition)
            await self._finish(definition)
            return
        status = plan_names(definition, self._reader.list(GROUP, RESOURCE), format_time(datetime.now(UTC)))
        if status != definition.get("status"):
            await self._write_status(name, status)
            return  # the write wakes us again
        if is_established(definition):
            await self._serve(definition)

    async def _write_status(self, name: str, status: Object) -> None:
        await self._writer.update(GROUP, RESOURCE, "", name, lambda obj: {**obj, "status": status}, subresource="status")

    # -- serving

    async def _serve(self, definition: Object) -> None:
        """Make the table agree with the definition: its rows, and one store for all of them."""
        name = definition["metadata"]["name"]
        wanted = _served_parts(definition)
        if self._parts.get(name) == wanted:
            return
        rows = versions_of(definition)
        old = self._served.get(name, [])
        await self._resources.replace(stored_row(definition, rows))
        self._kinds.remove(*old)
        self._kinds.add(*rows)
        self._served[name] = rows
        self._parts[name] = wanted
        log.info("definition served", name=name, versions=[row.version for row in rows])

    async def _withdraw(self, name: str) -> None:
        self._parts.pop(name, None)
        rows = self._served.pop(name, [])
        self._kinds.remove(*rows)
        for row in rows[:1]:
            await self._resources.drop(row)

    # -- the end

    async def _finish(self, definition: Object) -> None:
        """Delete the objects, then let the definition go."""
        name, meta = definition["metadata"]["name"], definition["metadata"]
        if CLEANUP not in (meta.get("finalizers") or ()):
            return
        now = format_time(datetime.now(UTC))
        left = await self._delete_objects(definition)
        conditions = (definition.get("status") or {}).get("conditions") or []
        if left:
            wanted = set_condition(conditions, {
                "type": "Terminating", "status": "True", "lastTransitionTime": now, "reason": "InstanceDeletionInProgress",
                "message": "CustomResource deletion is in progress",
            }, now)  # fmt: skip
            if wanted != conditions:
                await self._write_status(name, {**definition["status"], "conditions": wanted})
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self._enqueue, name)
            return

        def release(obj: Object) -> Object:
            obj["metadata"]["finalizers"] = [each for each in obj["metadata"].get("finalizers") or () if each != CLEANUP]
            return obj

        await self._writer.update(GROUP, RESOURCE, "", name, release)

    async def _delete_objects(self, definition: Object) -> int:
        spec = definition["spec"]
        store = self._resources.find(spec["group"], spec["names"]["plural"])
        if store is None:
            return 0
        for entry in store.cacher.list_cached():
            write = Write(store.kind, SERVER_USER, entry.namespace, entry.name, bypass=True)
            try:
                await deletion.delete(store, write)
            except ApiError as error:
                if not is_not_found(error):
                    raise
        return len(store.cacher.list_cached())


def _served_parts(definition: Object) -> tuple[Any, ...]:
    accepted = (definition.get("status") or {}).get("acceptedNames")
    return definition["metadata"]["uid"], definition["spec"], accepted, bool(definition["metadata"].get("deletionTimestamp"))
