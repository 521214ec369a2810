"""An APIService for every group-version of custom resources, as an aggregation layer lists what it serves itself.

Those carry a label by which they are known as the server's own; an administrator's APIService of the same name wins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import structlog

from apiserver.aggregation.registrations import GROUP, RESOURCE
from apiserver.registry.interface import ObjectReader, ObjectWriter
from machinery.meta.conditions import get_condition
from machinery.meta.errors import ApiError, is_already_exists, is_not_found

log = structlog.get_logger("apiserver.aggregation")
Object = dict[str, Any]
DEFINITIONS = ("apiextensions.k8s.io", "customresourcedefinitions")
AUTOMANAGED = "kube-aggregator.kubernetes.io/automanaged"
GROUP_PRIORITY, VERSION_PRIORITY = 1000, 100
RETRY_SECONDS = 5.0


def plan(definitions: Iterable[Object], services: Iterable[Object]) -> tuple[list[tuple[str, str]], list[str]]:
    """(group-versions that need an APIService, names of those that nothing stands behind any more)."""
    wanted = {
        (each["spec"]["group"], version["name"])
        for each in definitions if _is_established(each)
        for version in each["spec"]["versions"] if version.get("served")
    }  # fmt: skip
    present = {(each["spec"].get("group") or "", each["spec"].get("version") or ""): each for each in services}
    missing = sorted(wanted - present.keys())
    left = [
        each["metadata"]["name"] for key, each in present.items()
        if key not in wanted and (each["metadata"].get("labels") or {}).get(AUTOMANAGED) == "true"
    ]  # fmt: skip
    return missing, sorted(left)


def _is_established(definition: Object) -> bool:
    condition = get_condition((definition.get("status") or {}).get("conditions") or [], "Established")
    return condition is not None and condition.get("status") == "True"


def api_service(group: str, version: str) -> Object:
    return {
        "metadata": {"name": f"{version}.{group}", "labels": {AUTOMANAGED: "true"}},
        "spec": {
            "group": group, "version": version, "groupPriorityMinimum": GROUP_PRIORITY,
            "versionPriority": VERSION_PRIORITY,
        },
    }  # fmt: skip


class CustomGroups:
    def __init__(self, reader: ObjectReader, writer: ObjectWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        for group, resource in (DEFINITIONS, (GROUP, RESOURCE)):
            self._reader.on_change(group, resource, lambda change, obj: self._changed.set())
        self._task = asyncio.create_task(self._run(), name="apiservices-of-custom-groups")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self.sync()
            except ApiError as error:
                log.info("APIServices of custom groups not written, trying again", error=str(error))
                asyncio.get_running_loop().call_later(RETRY_SECONDS, self._changed.set)

    async def sync(self) -> None:
        missing, left = plan(self._reader.list(*DEFINITIONS), self._reader.list(GROUP, RESOURCE))
        for group, version in missing:
            try:
                await self._writer.create(GROUP, RESOURCE, "", api_service(group, version))
            except ApiError as error:
                if not is_already_exists(error):
                    raise
        for name in left:
            try:
                await self._writer.delete(GROUP, RESOURCE, "", name)
            except ApiError as error:
                if not is_not_found(error):
                    raise
