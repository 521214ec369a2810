"""Changes as watchers see them.

A :class:`Change` is what happened to one key. A :class:`WatchEvent` is what one kind of watcher is told about it; all
watchers that are told the same share one event, so its bytes are made once whether one or a thousand listen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from apiserver.storage.cacher.entry import Entry
from apiserver.storage.cacher.predicate import Predicate

ADDED, MODIFIED, DELETED, BOOKMARK, ERROR = "ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class WatchEvent:
    """One event: type, entry, and its encodings as they are asked for. A bookmark has no entry."""

    __slots__ = ("_cache", "_json", "entry", "initial_events_end", "revision", "type")

    def __init__(self, type_: str, entry: Entry | None, revision: int, *, initial_events_end: bool = False) -> None:
        self.type = type_
        self.entry = entry
        self.revision = revision
        self.initial_events_end = initial_events_end
        self._json: bytes | None = None
        self._cache: dict[str, Any] | None = None

    @property
    def json(self) -> bytes:
        """``{"type":…,"object":…}\\n``; only of events with an entry (who makes bookmarks knows the kind)."""
        if self._json is None:
            assert self.entry is not None
            self._json = b'{"type":"%b","object":%b}\n' % (self.type.encode(), self.entry.value)
        return self._json

    def cached(self, kind: str, encoder: Callable[[WatchEvent], Any]) -> Any:
        """Another encoding ("table", "protobuf", "metadata", …), made once for all watchers that want it."""
        cache = self._cache
        if cache is None:
            cache = self._cache = {}
        if kind not in cache:
            cache[kind] = encoder(self)
        return cache[kind]


class Change:
    """One key went from ``before`` to ``after`` (None: not there) at ``revision``."""

    __slots__ = ("_added", "_deleted", "_modified", "after", "at", "before", "revision")

    def __init__(self, before: Entry | None, after: Entry | None, revision: int, at: float) -> None:
        self.before = before
        self.after = after
        self.revision = revision
        self.at = at
        self._added: WatchEvent | None = None
        self._modified: WatchEvent | None = None
        self._deleted: WatchEvent | None = None

    @property
    def key(self) -> str:
        entry = self.after or self.before
        assert entry is not None
        return entry.key

    @property
    def plain(self) -> WatchEvent:
        """For who watches everything."""
        if self.after is None:
            return self.deleted
        return self.added if self.before is None else self.modified

    def seen_by(self, predicate: Predicate) -> WatchEvent | None:
        """For who watches a selection: entering it is ADDED, leaving it is DELETED with the last state it knew."""
        now = self.after is not None and predicate.matches(self.after)
        was = self.before is not None and predicate.matches(self.before)
        if now:
            return self.modified if was else self.added
        return self.deleted if was else None

    @property
    def added(self) -> WatchEvent:
        if self._added is None:
            self._added = WatchEvent(ADDED, self.after, self.revision)
        return self._added

    @property
    def modified(self) -> WatchEvent:
        if self._modified is None:
            self._modified = WatchEvent(MODIFIED, self.after, self.revision)
        return self._modified

    @property
    def deleted(self) -> WatchEvent:
        if self._deleted is None:
            assert self.before is not None
            self._deleted = WatchEvent(DELETED, self.before.at_revision(self.revision), self.revision)
        return self._deleted


def bookmark_json(api_version: str, kind: str, event: WatchEvent) -> bytes:
    """A bookmark is an object of the watched kind with nothing but its revision."""
    metadata: dict[str, Any] = {"resourceVersion": str(event.revision)}
    if event.initial_events_end:
        metadata["annotations"] = {INITIAL_EVENTS_END: "true"}
    obj = {"kind": kind, "apiVersion": api_version, "metadata": metadata}
    return orjson.dumps({"type": BOOKMARK, "object": obj}) + b"\n"
