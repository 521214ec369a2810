"""The watch cache of one resource: every read and every watch of the API server is answered here.

It follows the store (see Storage.follow): an object written by this process is in the cache before the writer's await
returns. Reads without a resourceVersion are linearizable: ask the store for its revision, wait until the cache has it,
answer from memory. For an engine inside this process that wait is nothing.

The cache can rebuild recent snapshots by walking its history backwards, so pages of a list under writes come from
memory; only snapshots older than the history are read from the store.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from apiserver.storage.cacher.buckets import Buckets
from apiserver.storage.cacher.entry import Entry, FieldsOf, make_entry
from apiserver.storage.cacher.events import ADDED, BOOKMARK, Change, WatchEvent
from apiserver.storage.cacher.history import History
from apiserver.storage.cacher.index import ObjectIndex
from apiserver.storage.cacher.predicate import EVERYTHING, Predicate
from apiserver.storage.cacher.watcher import Watcher
from apiserver.storage.interface import (
    Compacted,
    FutureRevision,
    Storage,
    StorageError,
    StorageUnavailable,
    StoreEvent,
    Subscription,
)
from apiserver.storage.keys import after

LOG = logging.getLogger(__name__)

WAIT_SECONDS = 3.0
BOOKMARK_SECONDS = 60.0
RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class CachedList:
    """``next_key`` is where the next page of the same snapshot starts ("" = complete).

    ``remaining`` is the number of entries after the last one, None when it would take a search to know.
    """

    entries: Sequence[Entry]
    revision: int
    next_key: str = ""
    remaining: int | None = 0

    def json_items(self) -> bytes:
        """The items of a List, joined; nothing is parsed."""
        return b",".join([entry.value for entry in self.entries])


class Cacher:
    def __init__(
        self, storage: Storage, prefix: str, *, fields_of: FieldsOf = lambda obj: {},
        indexed_fields: Iterable[str] = (), monotonic: Callable[[], float] = time.monotonic,
        wait_seconds: float = WAIT_SECONDS, bookmark_seconds: float = BOOKMARK_SECONDS,
    ) -> None:
        if not prefix.endswith("/"):
            raise ValueError(f"a resource prefix ends in /: {prefix}")
        indexed = tuple(indexed_fields)
        self.prefix = prefix
        self._storage = storage
        self._fields_of = fields_of
        self._monotonic = monotonic
        self._wait_seconds = wait_seconds
        self._bookmark_seconds = bookmark_seconds
        self._index = ObjectIndex(prefix, indexed)
        self._watchers = Buckets(indexed)
        self._observers: list[Callable[[Change], None]] = []
        self._history = History(0)
        self._subscription: Subscription | None = None
        self._ready = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._marker: asyncio.TimerHandle | None = None

    # life

    async def start(self) -> None:
        """Returns with a consistent cache, or raises what the store says."""
        await self._load()
        self._schedule_bookmarks()

    async def close(self) -> None:
        if self._marker is not None:
            self._marker.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None
        self._ready.clear()
        for watcher in self._watchers:
            watcher.end("closed")

    async def _load(self) -> None:
        listed = await self._storage.list(self.prefix)
        before = self._index.by_key
        entries = [self._entry(item.key, item.value, item.revision) for item in listed.items]
        self._index.fill(entry for entry in entries if entry is not None)
        self._history = History(listed.revision)
        self._report_difference(before, listed.revision)
        self._subscription = await self._storage.follow(
            self.prefix, revision=listed.revision, sink=self._apply, lost=self._lose
        )
        self._ready.set()

    def _lose(self, error: StorageError) -> None:
        """The store cannot say what happened in between: end the watches (their clients relist) and start over."""
        self._subscription = None
        self._ready.clear()
        for watcher in self._watchers:
            watcher.end("lost")
        task = asyncio.get_running_loop().create_task(self._reload(), name=f"cacher-reload {self.prefix}")
        self._tasks.append(task)
        task.add_done_callback(self._tasks.remove)

    async def _reload(self) -> None:
        while True:
            try:
                return await self._load()
            except StorageError as error:
                LOG.warning("cannot fill the watch cache of %s: %s", self.prefix, error)
                await asyncio.sleep(RETRY_SECONDS)

    def _report_difference(self, before: dict[str, Entry], revision: int) -> None:
        """Observers must learn what changed while the store was out of sight."""
        if not self._observers:
            return
        now, at = self._index.by_key, self._monotonic()
        for key in {**before, **now}:
            old, new = before.get(key), now.get(key)
            if (old and old.revision) != (new and new.revision):
                self._notify(Change(old, new, new.revision if new else revision, at))

    # the feed

    def _entry(self, key: str, value: bytes, revision: int, *, keep_parsed: bool = False) -> Entry | None:
        """None for bytes that are no object: somebody wrote past the API. The rest of the resource stays served."""
        try:
            return make_entry(key, value, revision, self._fields_of, keep_parsed=keep_parsed)
        except Exception:
            LOG.exception("the stored bytes of %s at revision %d are not an object of this resource", key, revision)
            return None

    def _apply(self, event: StoreEvent) -> None:
        before = self._index.by_key.get(event.key)
        now = None
        if event.type != "delete":
            now = self._entry(event.key, event.value, event.revision, keep_parsed=bool(self._observers))
        if now is not None:
            self._index.put(now)
        elif before is not None:
            self._index.remove(event.key)
        else:
            return
        change = Change(before, now, event.revision, self._monotonic())
        self._history.append(change)
        self._watchers.deliver(change)
        self._notify(change)
        if now is not None:
            now.forget_parsed()

    def _notify(self, change: Change) -> None:
        for observer in self._observers:
            try:
                observer(change)
            except Exception:
                LOG.exception("an observer of %s failed on %s", self.prefix, change.key)

    # memory reads: the cache as it is, never waiting

    @property
    def revision(self) -> int:
        """Everything up to this revision is in the cache."""
        return self._subscription.revision if self._subscription is not None else self._history.floor

    def get_cached(self, key: str) -> Entry | None:
        return self._index.by_key.get(key)

    def list_cached(self, predicate: Predicate = EVERYTHING) -> list[Entry]:
        by_key = self._index.by_key
        candidates = [by_key[key] for key in self._index.keys(predicate)]
        return [entry for entry in candidates if predicate.matches(entry)] if predicate.selective else candidates

    def observe(self, callback: Callable[[Change], None]) -> None:
        """Call back synchronously for every object now there and every change after."""
        self._observers.append(callback)
        at = self._monotonic()
        for entry in list(self._index.by_key.values()):
            callback(Change(None, entry, entry.revision, at))

    # reads with Kubernetes' meaning of resourceVersion

    async def wait_fresh(self, revision: int | None = None) -> int:
        """None: until the cache has all that was committed before the call. 0: not at all. N: until it has N.

        Returns the revision of the cache. Raises FutureRevision when N does not come in time.
        """
        if not self._ready.is_set():
            await self._wait_ready()
        subscription = self._subscription
        assert subscription is not None
        if revision is None:
            revision = await self._storage.current_revision()
        if revision > subscription.revision:
            try:
                await subscription.wait(revision, self._wait_seconds)
            except FutureRevision:
                raise FutureRevision(revision, self.revision) from None
        return self.revision

    async def _wait_ready(self) -> None:
        try:
            await asyncio.wait_for(self._ready.wait(), self._wait_seconds)
        except TimeoutError:
            raise StorageUnavailable(f"the watch cache of {self.prefix} is not ready") from None

    async def get(self, key: str, *, revision: int | None = None) -> Entry | None:
        await self.wait_fresh(revision)
        return self._index.by_key.get(key)

    async def list(
        self, predicate: Predicate = EVERYTHING, *, limit: int = 0, start_key: str = "",
        revision: int | None = None, exact: bool = False,
    ) -> CachedList:
        """``revision`` as in :meth:`wait_fresh`; with ``exact`` the snapshot of that very revision (pages, Exact)."""
        if exact and revision:
            current = await self.wait_fresh(revision)
            if revision < current:
                return await self._list_at(revision, predicate, limit, start_key)
        else:
            revision = await self.wait_fresh(revision)
        by_key = self._index.by_key
        return self._page(self._index.keys(predicate, start_key), by_key, predicate, limit, revision)

    async def _list_at(self, revision: int, predicate: Predicate, limit: int, start_key: str) -> CachedList:
        try:
            undo = list(self._history.backwards(revision))
        except Compacted:
            return await self._list_stored(revision, predicate, limit, start_key)
        if not undo:
            keys = self._index.keys(predicate, start_key)
            return self._page(keys, self._index.by_key, predicate, limit, revision)
        folder, by_key = self._index.folder(predicate), self._index.by_key
        then: dict[str, Entry | None] = {change.key: change.before for change in undo}  # the oldest change wins
        keys = [key for key in self._index.keys(Predicate(predicate.namespace), start_key) if key not in then]
        keys += [key for key, entry in then.items() if entry is not None and key >= max(folder, start_key)
                 and key.startswith(folder)]
        keys.sort()
        snapshot = {key: then.get(key) or by_key[key] for key in keys}
        return self._page(keys, snapshot, predicate, limit, revision)

    async def _list_stored(self, revision: int, predicate: Predicate, limit: int, start_key: str) -> CachedList:
        folder = self._index.folder(predicate)
        listed = await self._storage.list(folder, start_key=start_key, revision=revision)
        made = (self._entry(item.key, item.value, item.revision) for item in listed.items)
        entries = {entry.key: entry for entry in made if entry is not None}
        return self._page(list(entries), entries, predicate, limit, revision)

    @staticmethod
    def _page(
        keys: Sequence[str], by_key: dict[str, Entry], predicate: Predicate, limit: int, revision: int,
    ) -> CachedList:
        """``keys`` are those of the predicate's namespace at least."""
        if not predicate.selective:
            page = keys[:limit] if limit else keys
            remaining = len(keys) - len(page)
            next_key = after(page[-1]) if remaining else ""
            return CachedList([by_key[key] for key in page], revision, next_key, remaining)
        found: list[Entry] = []
        for key in keys:
            if limit and len(found) == limit:  # whether more match is not known until they are looked at
                return CachedList(found, revision, after(found[-1].key), None)
            entry = by_key[key]
            if predicate.matches(entry):
                found.append(entry)
        return CachedList(found, revision, "", None if predicate.selective else 0)

    # watches

    async def watch(
        self, predicate: Predicate = EVERYTHING, *, revision: int | None = None, initial_events: bool = False,
        bookmarks: bool = False,
    ) -> Watcher:
        """Events after ``revision``. None or 0 starts with an ADDED for everything there (None: linearizable).

        With ``initial_events`` (sendInitialEvents) the cache must be at least at ``revision``; it starts with ADDED
        events and, if bookmarks are wanted, a bookmark that says they are complete. A revision of the future is silent
        until it comes. Raises Compacted, and FutureRevision with ``initial_events``.
        """
        if initial_events or not revision:
            await self.wait_fresh(revision)
            start = self.revision
            events = [WatchEvent(ADDED, entry, entry.revision) for entry in self.list_cached(predicate)]
            if initial_events and bookmarks:
                events.append(WatchEvent(BOOKMARK, None, start, initial_events_end=True))
        else:
            await self.wait_fresh(0)
            start = revision
            changes = self._history.since(revision)
            seen = (change.seen_by(predicate) for change in changes)
            events = [event for event in seen if event is not None]
            start = max(start, self.revision)
        watcher = Watcher(predicate, start, events, bookmarks=bookmarks, detach=self._watchers.remove)
        self._watchers.add(watcher)
        return watcher

    def bookmark(self, watcher: Watcher | None = None) -> None:
        """Tell the watcher (all of them) how far everything has been delivered; also just before a deadline."""
        revision = self.revision
        for each in [watcher] if watcher is not None else list(self._watchers):
            each.offer_bookmark(revision)

    def _schedule_bookmarks(self) -> None:
        self._marker = asyncio.get_running_loop().call_later(self._bookmark_seconds, self._mark)

    def _mark(self) -> None:
        if self._ready.is_set():
            self.bookmark()
        self._schedule_bookmarks()

    def stats(self) -> dict[str, Any]:
        """For metrics."""
        return {"objects": len(self._index.by_key), "watchers": len(self._watchers), "history": len(self._history)}
