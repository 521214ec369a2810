"""All stored resources: one ResourceStore each, made at start (and when a definition comes), closed when it goes.

Caches start together: on a full store that is the longest part of a start, and the engine reads side by side.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from apiserver.registry.store import Pipeline, ResourceStore
from apiserver.registry.strategy import Strategy
from apiserver.storage.interface import Storage
from machinery.api.kinds import Kind
from machinery.api.table import KindTable

StrategyFor = Callable[[Kind], Strategy]


class Resources:
    def __init__(self, kinds: KindTable, storage: Storage, pipeline: Pipeline, strategy_for: StrategyFor) -> None:
        self.kinds = kinds
        self.storage = storage
        self.pipeline = pipeline
        self._strategy_for = strategy_for
        self._stores: dict[tuple[str, str], ResourceStore] = {}

    async def start(self) -> None:
        await self.open(kind for kind in self.kinds if kind.is_stored)

    async def open(self, kinds: Iterable[Kind]) -> None:
        opened = [store for kind in kinds if (store := self._make(kind)) is not None]
        await asyncio.gather(*(store.cacher.start() for store in opened))

    def _make(self, kind: Kind) -> ResourceStore | None:
        if kind.storage_resource in self._stores:
            return None
        hub = self.kinds.hub_of(kind)
        store = ResourceStore(hub, self._strategy_for(hub), self.storage, self.pipeline)
        self._stores[kind.storage_resource] = store
        return store

    async def replace(self, hub: Kind) -> None:
        """The store of a resource whose definition came or changed. Who watches the old one starts over."""
        store = ResourceStore(hub, self._strategy_for(hub), self.storage, self.pipeline)
        await store.cacher.start()
        old = self._stores.get(hub.storage_resource)
        self._stores[hub.storage_resource] = store
        if old is not None:
            await old.cacher.close()

    async def close(self) -> None:
        await asyncio.gather(*(store.cacher.close() for store in self._stores.values()))

    async def drop(self, kind: Kind) -> None:
        store = self._stores.pop(kind.storage_resource, None)
        if store is not None:
            await store.cacher.close()

    def store(self, kind: Kind) -> ResourceStore:
        return self._stores[kind.storage_resource]

    def find(self, group: str, resource: str) -> ResourceStore | None:
        return self._stores.get((group, resource))

    def __iter__(self) -> Iterable[ResourceStore]:
        return iter(self._stores.values())
