"""Between the store's bytes, the cache's entries and what clients see. Bytes are copied, not parsed, where they can be.

Stored bytes begin with ``{"kind":K,"apiVersion":V,"metadata":{``; the cache puts resourceVersion first into metadata.
An item of a built-in list is the object without kind and apiVersion, so it is the entry's bytes minus a prefix of known
length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson

from apiserver.registry.objectmeta import ordered_metadata
from apiserver.storage.cacher import Entry
from machinery.api.kinds import Kind
from machinery.meta.objects import Object

Convert = Callable[[Object], Object]


def encode_stored(obj: Object) -> bytes:
    """The bytes to store. ``obj`` is left as it is."""
    meta = ordered_metadata(obj["metadata"])
    meta.pop("resourceVersion", None)
    ordered: Object = {"kind": obj["kind"], "apiVersion": obj["apiVersion"], "metadata": meta}
    for name, value in obj.items():
        if name not in ordered:
            ordered[name] = value
    return orjson.dumps(ordered)


class ObjectCodec:
    """How entries of one stored resource look as one served kind."""

    def __init__(self, kind: Kind, *, convert: Convert | None = None) -> None:
        self.kind = kind
        self._convert = convert
        self._head = b'{"kind":"%b","apiVersion":"%b",' % (kind.kind.encode(), kind.api_version.encode())
        self._item_from = 0 if kind.custom else len(self._head)
        self._cache_name = f"as {kind.api_version}"

    def object_bytes(self, entry: Entry) -> bytes:
        return entry.value if self._convert is None else entry.cached(self._cache_name, self._converted)

    def parsed(self, entry: Entry) -> Object:
        """READ-ONLY."""
        return entry.parsed if self._convert is None else self._convert(entry.parsed)

    def _converted(self, entry: Entry) -> bytes:
        assert self._convert is not None
        obj = self._convert(entry.parsed)
        if obj == entry.parsed:
            return entry.value
        ordered = {"kind": obj["kind"], "apiVersion": obj["apiVersion"], "metadata": obj["metadata"], **obj}
        return orjson.dumps(ordered)

    def list_bytes(
        self, entries: Sequence[Entry], revision: int, next_token: str = "", remaining: int | None = None
    ) -> bytes | PiecedBody:
        meta: dict[str, Any] = {"resourceVersion": str(revision)}
        if next_token:
            meta["continue"] = next_token
            if remaining:
                meta["remainingItemCount"] = remaining
        elif self.kind.custom:
            meta["continue"] = ""
        head = b'{"kind":"%b","apiVersion":"%b","metadata":%b,"items":[' % (
            self.kind.list_kind_name.encode(), self.kind.api_version.encode(), orjson.dumps(meta),
        )  # fmt: skip
        start = self._item_from
        if self._convert is not None or self.kind.custom:
            values = [self.object_bytes(entry) for entry in entries]
        else:
            values = [entry.value for entry in entries]
        if len(values) <= PIECE_ITEMS:
            return b"".join(_pieces(head, values, start))
        return PiecedBody(head, values, start)


#: About 250 kB of pods: what is joined is still in the processor's cache when it is encrypted and sent.
PIECE_ITEMS = 96


class PiecedBody:
    """A large list that is joined piece by piece while it goes out, and never stands in memory as a whole."""

    __slots__ = ("_head", "_start", "_values", "length")

    def __init__(self, head: bytes, values: Sequence[bytes], start: int) -> None:
        self._head = head
        self._values = values
        self._start = start
        cut = start - 1 if start else 0  # an item loses its kind and keeps its brace
        self.length = len(head) + sum(map(len, values)) - cut * len(values) + len(values) - 1 + len(_TAIL)

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[bytes]:
        return _pieces(self._head, self._values, self._start)

    def __bytes__(self) -> bytes:
        return b"".join(self)


_TAIL = b"]}\n"


def _pieces(head: bytes, values: Sequence[bytes], start: int) -> Iterator[bytes]:
    before = head
    for at in range(0, len(values), PIECE_ITEMS):
        group = values[at : at + PIECE_ITEMS]
        if start:
            body = b",{".join([memoryview(value)[start:] for value in group])
            yield b"%b{%b" % (before, body)
        else:
            yield before + b",".join(group)
        before = b","
    yield _TAIL if values else before + _TAIL
