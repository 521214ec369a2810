"""The reference engine: everything in dicts, nothing on disk.

It exists to be obviously right. The contract suite holds the other engines to the same answers, and tests of the layers
above run on it under a virtual clock.
"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right, insort
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from apiserver.storage.feed import PROGRESS_SECONDS, Feed
from apiserver.storage.hub import EventHub
from apiserver.storage.interface import (
    Compacted,
    FutureRevision,
    KeyExists,
    ListResult,
    RevisionMismatch,
    Stored,
    StoreEvent,
)
from apiserver.storage.keys import prefix_end
from apiserver.storage.upkeep import Upkeep

FIRST_REVISION = 1  # an empty store lists at 1: "0" means "any" to clients


@dataclass(slots=True)
class Version:
    """One write of a key; ``value`` None is a deletion."""

    revision: int
    value: bytes | None


class MemoryStorage(Feed):
    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        keep_seconds: float = 300.0,
        progress_seconds: float = PROGRESS_SECONDS,
    ) -> None:
        super().__init__(EventHub(), progress_seconds=progress_seconds)
        self._keys: list[str] = []  # sorted; every key that has a version
        self._versions: dict[str, list[Version]] = {}  # ascending; at least one
        self._log: list[StoreEvent] = []  # everything after self._compacted, by revision
        self._upkeep = Upkeep(self, clock, keep_seconds)
        self._hub.reset(FIRST_REVISION)

    async def start(self) -> None:
        self._upkeep.start("memory")

    async def close(self) -> None:
        await self._upkeep.stop()

    # reads

    async def get(self, key: str, *, revision: int = 0) -> Stored | None:
        self._check_readable(revision)
        return self._at(key, revision)

    async def list(self, prefix: str, *, limit: int = 0, start_key: str = "", revision: int = 0) -> ListResult:
        self._check_readable(revision)
        first = bisect_left(self._keys, max(prefix, start_key))
        last = bisect_left(self._keys, prefix_end(prefix)) if prefix else len(self._keys)
        found = [stored for key in self._keys[first:last] if (stored := self._at(key, revision)) is not None]
        items = found[:limit] if limit else found
        return ListResult(items, revision or self._hub.revision, len(found) - len(items))

    async def count(self, prefix: str) -> int:
        return len((await self.list(prefix)).items)

    async def current_revision(self) -> int:
        return self._hub.revision

    # writes

    async def create(self, key: str, value: bytes, *, ttl_seconds: int = 0) -> int:
        if self._at(key, 0) is not None:
            raise KeyExists(key)
        return self._put(key, value, None, ttl_seconds)

    async def update(self, key: str, value: bytes, *, expected_revision: int, ttl_seconds: int = 0) -> int:
        current = self._at(key, 0)
        if current is None or current.revision != expected_revision:
            raise RevisionMismatch(key, current)
        return self._put(key, value, current, ttl_seconds)

    async def delete(self, key: str, *, expected_revision: int = 0) -> tuple[Stored, int]:
        current = self._at(key, 0)
        if current is None or (expected_revision and current.revision != expected_revision):
            raise RevisionMismatch(key, current)
        revision = self._hub.revision + 1
        self._versions[key].append(Version(revision, None))
        self._record(StoreEvent("delete", key, current.value, revision, current.value, current.revision))
        return current, revision

    async def compact(self, revision: int) -> None:
        if revision > self._hub.revision:
            raise FutureRevision(revision, self._hub.revision)
        if revision <= self._compacted:
            return
        self._compacted = revision
        self._log = self._log[bisect_right(self._log, revision, key=lambda event: event.revision) :]
        for key, versions in list(self._versions.items()):
            newest_kept = bisect_right(versions, revision, key=lambda version: version.revision) - 1
            del versions[: max(newest_kept, 0)]
            if versions[0].value is None and versions[0].revision <= revision:
                del versions[0]
            if not versions:
                del self._versions[key]
                del self._keys[bisect_left(self._keys, key)]

    # inside

    def _check_readable(self, revision: int) -> None:
        if revision and revision < self._compacted:
            raise Compacted(revision, self._compacted)
        if revision > self._hub.revision:
            raise FutureRevision(revision, self._hub.revision)

    def _at(self, key: str, revision: int) -> Stored | None:
        versions = self._versions.get(key)
        if not versions:
            return None
        index = len(versions) if not revision else bisect_right(versions, revision, key=lambda v: v.revision)
        if not index or (value := versions[index - 1].value) is None:
            return None
        return Stored(key, value, versions[index - 1].revision)

    def _put(self, key: str, value: bytes, previous: Stored | None, ttl_seconds: int) -> int:
        revision = self._hub.revision + 1
        if key not in self._versions:
            insort(self._keys, key)
            self._versions[key] = []
        self._versions[key].append(Version(revision, value))
        if ttl_seconds:
            self._upkeep.add_deadline(key, revision, ttl_seconds)
        if previous is None:
            self._record(StoreEvent("create", key, value, revision))
        else:
            self._record(StoreEvent("update", key, value, revision, previous.value, previous.revision))
        return revision

    def _record(self, event: StoreEvent) -> None:
        self._log.append(event)
        self._hub.publish((event,))

    async def _history(self, prefix: str, after: int, upto: int) -> AsyncIterator[StoreEvent]:
        first = bisect_right(self._log, after, key=lambda event: event.revision)
        for event in self._log[first:]:
            if event.revision <= upto and event.key.startswith(prefix):
                yield event
