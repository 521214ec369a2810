"""Watchers sorted so that a change meets only those it may concern.

A thousand agents each watch the pods of their node: without buckets every pod event would be matched a thousand times.
A watcher sits in exactly one bucket, the most selective that its predicate names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from apiserver.storage.cacher.entry import Entry
from apiserver.storage.cacher.events import Change
from apiserver.storage.cacher.predicate import Predicate
from apiserver.storage.cacher.watcher import Watcher

BucketKey = tuple[str, str]  # ("", "") everything; ("metadata.name", n), ("metadata.namespace", ns), (field, value)

_EVERYTHING: BucketKey = ("", "")


class Buckets:
    def __init__(self, indexed_fields: Iterable[str]) -> None:
        self._fields = tuple(indexed_fields)
        self._buckets: dict[BucketKey, dict[Watcher, None]] = {}

    def add(self, watcher: Watcher) -> None:
        self._buckets.setdefault(self._key_of(watcher.predicate), {})[watcher] = None

    def remove(self, watcher: Watcher) -> None:
        key = self._key_of(watcher.predicate)
        bucket = self._buckets.get(key)
        if bucket is not None:
            bucket.pop(watcher, None)
            if not bucket:
                del self._buckets[key]

    def __iter__(self) -> Iterator[Watcher]:
        for bucket in list(self._buckets.values()):
            yield from list(bucket)

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))

    def deliver(self, change: Change) -> None:
        buckets = self._buckets
        if not buckets:
            return
        keys = {_EVERYTHING: None}
        for entry in (change.before, change.after):
            if entry is not None:
                for key in self._keys_of(entry):
                    keys[key] = None
        for key in keys:
            bucket = buckets.get(key)
            if bucket:
                for watcher in list(bucket):
                    watcher.offer(change)

    def _keys_of(self, entry: Entry) -> Iterator[BucketKey]:
        yield "metadata.name", entry.name
        if entry.namespace:
            yield "metadata.namespace", entry.namespace
        for field in self._fields:
            yield field, entry.fields.get(field, "")

    def _key_of(self, predicate: Predicate) -> BucketKey:
        if predicate.name:
            return "metadata.name", predicate.name
        for field in self._fields:
            if field in predicate.exact:
                return field, predicate.exact[field]
        return ("metadata.namespace", predicate.namespace) if predicate.namespace else _EVERYTHING
