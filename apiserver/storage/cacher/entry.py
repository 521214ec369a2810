"""One object at one revision: bytes ready to be served, and the little that selection needs.

Memory decides what a server can hold, so an entry is the JSON bytes and a few interned strings. The parsed object is
made when somebody asks, and only the most recently asked ones stay parsed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from sys import intern
from types import MappingProxyType
from typing import Any

import orjson

FieldsOf = Callable[[dict[str, Any]], Mapping[str, str]]

PARSED_KEPT = 2048  # over all resources; a parsed pod is about ten times its bytes

_METADATA = b'"metadata":{'
_VERSIONED = b'"metadata":{"resourceVersion":"'
_NOTHING: Mapping[str, str] = MappingProxyType({})
_recently_parsed: deque[Entry] = deque()


class Entry:
    """Read-only, also what :attr:`parsed` returns: it is shared by everyone."""

    __slots__ = ("_cache", "_parsed", "fields", "key", "labels", "name", "namespace", "revision", "value")

    def __init__(
        self, key: str, value: bytes, revision: int, namespace: str, name: str,
        labels: Mapping[str, str], fields: Mapping[str, str],
    ) -> None:
        self.key = key
        self.value = value  # JSON with resourceVersion
        self.revision = revision
        self.namespace = namespace
        self.name = name
        self.labels = labels
        self.fields = fields
        self._parsed: dict[str, Any] | None = None
        self._cache: dict[str, Any] | None = None

    @property
    def parsed(self) -> dict[str, Any]:
        """The object as a dict. READ-ONLY: copy before changing."""
        parsed = self._parsed
        if parsed is None:
            parsed = self._parsed = orjson.loads(self.value)
            _recently_parsed.append(self)
            if len(_recently_parsed) > PARSED_KEPT:
                _recently_parsed.popleft()._parsed = None
        return parsed

    def forget_parsed(self) -> None:
        """After the observers of a change have looked; who asks later parses anew."""
        self._parsed = None

    def cached(self, kind: str, encoder: Callable[[Entry], Any]) -> Any:
        """Another encoding of the object ("table-row", "protobuf", …), made once. It lives as long as the entry."""
        cache = self._cache
        if cache is None:
            cache = self._cache = {}
        if kind not in cache:
            cache[kind] = encoder(self)
        return cache[kind]

    def at_revision(self, revision: int) -> Entry:
        """The same state under another revision: what a DELETED event carries."""
        return Entry(
            self.key, respliced(self.value, revision), revision, self.namespace, self.name, self.labels, self.fields
        )


def make_entry(key: str, stored: bytes, revision: int, fields_of: FieldsOf, *, keep_parsed: bool = False) -> Entry:
    """From the store's bytes, which have no resourceVersion. ``keep_parsed``: observers will look at once; the caller
    forgets it after them."""
    obj = orjson.loads(stored)
    metadata = obj.get("metadata") or {}
    labels = metadata.get("labels")
    fields = fields_of(obj)
    entry = Entry(
        key,
        spliced(stored, revision),
        revision,
        intern(metadata.get("namespace") or ""),
        metadata.get("name") or "",
        {intern(k): intern(v) for k, v in labels.items()} if labels else _NOTHING,
        {intern(k): intern(v) for k, v in fields.items()} if fields else _NOTHING,
    )
    if keep_parsed:
        metadata["resourceVersion"] = str(revision)
        entry._parsed = obj
    return entry



def spliced(stored: bytes, revision: int) -> bytes:
    """The object's bytes with ``resourceVersion`` as the first member of its metadata."""
    head, found, tail = stored.partition(_METADATA)
    if not found:
        raise ValueError("stored object has no metadata")
    comma = b"" if tail.startswith(b"}") else b","
    return b'%b"metadata":{"resourceVersion":"%d"%b%b' % (head, revision, comma, tail)


def respliced(value: bytes, revision: int) -> bytes:
    """Bytes made by :func:`spliced`, under another revision."""
    start = value.index(_VERSIONED) + len(_VERSIONED)
    return b"%b%d%b" % (value[:start], revision, value[value.index(b'"', start) :])


def unspliced(value: bytes) -> bytes:
    """The store's bytes again."""
    head, _, tail = value.partition(_VERSIONED)
    rest = tail[tail.index(b'"') + 1 :]
    return b'%b"metadata":{%b' % (head, rest.removeprefix(b","))
