"""Pods in a store and a watch cache over them, for the cacher's tests."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from apiserver.storage.cacher import Cacher, Predicate, Watcher, WatchEvent, make_predicate
from apiserver.storage.interface import Storage
from machinery.meta.selectors import parse_field_selector, parse_label_selector


def pod(name: str, namespace: str = "default", node: str = "", **labels: str) -> bytes:
    metadata: dict[str, Any] = {"name": name, "namespace": namespace}
    if labels:
        metadata["labels"] = labels
    return orjson.dumps({"kind": "Pod", "metadata": metadata, "spec": {"nodeName": node}})


def fields_of(obj: dict[str, Any]) -> dict[str, str]:
    return {"spec.nodeName": obj["spec"]["nodeName"]}


def new_cacher(storage: Storage, prefix: str, **options: Any) -> Cacher:
    return Cacher(storage, prefix, fields_of=fields_of, indexed_fields=("spec.nodeName",), **options)


class Pods:
    """Writes pods straight into the store."""

    def __init__(self, storage: Storage, prefix: str) -> None:
        self.storage, self.prefix = storage, prefix
        self.revisions: dict[str, int] = {}

    def key(self, name: str, namespace: str = "default") -> str:
        return f"{self.prefix}{namespace}/{name}"

    async def put(self, name: str, namespace: str = "default", node: str = "", **labels: str) -> int:
        key, value = self.key(name, namespace), pod(name, namespace, node, **labels)
        if key in self.revisions:
            revision = await self.storage.update(key, value, expected_revision=self.revisions[key])
        else:
            revision = await self.storage.create(key, value)
        self.revisions[key] = revision
        return revision

    async def delete(self, name: str, namespace: str = "default") -> int:
        self.revisions.pop(self.key(name, namespace))
        return (await self.storage.delete(self.key(name, namespace)))[1]


def names(entries: Any) -> list[str]:
    return [entry.name for entry in entries]


async def told(watcher: Watcher, count: int) -> list[tuple[str, str, int]]:
    found: list[WatchEvent] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            taken = await watcher.take()
            assert taken, f"the watch ended: {watcher.ended}"
            found += taken
    return [(event.type, event.entry.name if event.entry else "", event.revision) for event in found]


def selected(labels: str = "", fields: str = "", namespace: str = "") -> Predicate:
    return make_predicate(
        namespace=namespace, label_selector=parse_label_selector(labels), field_selector=parse_field_selector(fields)
    )


async def told_events(watcher: Watcher, count: int) -> list[WatchEvent]:
    found: list[WatchEvent] = []
    while len(found) < count:
        found += await asyncio.wait_for(watcher.take(), 10)
    return found
