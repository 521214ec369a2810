"""Objects by key with secondary indexes. An index maps an object to any number of values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Object = dict[str, Any]
Indexer = Callable[[Object], Sequence[str]]


class IndexedStore:
    """Invariant: for every index and value, the set of keys is exactly the keys whose object yields that value."""

    def __init__(self, indexers: dict[str, Indexer]) -> None:
        self._objects: dict[str, Object] = {}
        self._indexers = dict(indexers)
        self._indexes: dict[str, dict[str, dict[str, None]]] = {name: {} for name in indexers}

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, key: str) -> Object | None:
        return self._objects.get(key)

    def items(self) -> list[Object]:
        return list(self._objects.values())

    def keys(self) -> list[str]:
        return list(self._objects)

    def by_index(self, name: str, value: str) -> list[Object]:
        """Objects that yield ``value``; KeyError for an index nobody declared."""
        return [self._objects[key] for key in self._indexes[name].get(value, ())]

    def put(self, key: str, obj: Object) -> Object | None:
        """Store; returns what was there."""
        old = self._objects.get(key)
        self._objects[key] = obj
        for name, indexer in self._indexers.items():
            index = self._indexes[name]
            before = set(indexer(old)) if old is not None else set()
            after = set(indexer(obj))
            for value in before - after:
                self._drop(index, value, key)
            for value in after - before:
                index.setdefault(value, {})[key] = None
        return old

    def remove(self, key: str) -> Object | None:
        old = self._objects.pop(key, None)
        if old is not None:
            for name, indexer in self._indexers.items():
                for value in set(indexer(old)):
                    self._drop(self._indexes[name], value, key)
        return old

    def add_indexers(self, indexers: dict[str, Indexer]) -> None:
        """More indexes over what is already stored; a name that exists keeps its first definition."""
        for name, indexer in indexers.items():
            if name in self._indexers:
                continue
            self._indexers[name] = indexer
            index: dict[str, dict[str, None]] = {}
            self._indexes[name] = index
            for key, obj in self._objects.items():
                for value in set(indexer(obj)):
                    index.setdefault(value, {})[key] = None

    @staticmethod
    def _drop(index: dict[str, dict[str, None]], value: str, key: str) -> None:
        keys = index.get(value)
        if keys is not None:
            keys.pop(key, None)
            if not keys:
                del index[value]
