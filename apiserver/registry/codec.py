"""Between the store's bytes, the cache's entries and what clients see. Bytes are copied, not parsed, where they can be.

Stored bytes begin with ``{"kind":K,"apiVersion":V,"metadata":{``; the cache puts resourceVersion first into metadata.
An item of a built-in list is the object without kind and apiVersion, so it is the entry's bytes minus a prefix of known
length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
        if self._convert is None:
            if not self.kind.custom or entry.value.startswith(self._head):
                return entry.value
            return entry.cached(self._cache_name, self._relabelled)  # stored before the storage version moved
        return entry.cached(self._cache_name, self._converted)

    def parsed(self, entry: Entry) -> Object:
        """READ-ONLY."""
        return entry.parsed if self._convert is None else self._convert(entry.parsed)

    def _converted(self, entry: Entry) -> bytes:
        assert self._convert is not None
        obj = self._convert(entry.parsed)
        ordered = {"kind": obj["kind"], "apiVersion": obj["apiVersion"], "metadata": obj["metadata"], **obj}
        return orjson.dumps(ordered)

    def _relabelled(self, entry: Entry) -> bytes:
        return orjson.dumps({**entry.parsed, "kind": self.kind.kind, "apiVersion": self.kind.api_version})

    def list_bytes(
        self, entries: Sequence[Entry], revision: int, next_token: str = "", remaining: int | None = None
    ) -> bytes:
        meta: dict[str, Any] = {"resourceVersion": str(revision)}
        if next_token:
            meta["continue"] = next_token
            if remaining:
                meta["remainingItemCount"] = remaining
        head = b'{"kind":"%b","apiVersion":"%b","metadata":%b,"items":[' % (
            self.kind.list_kind_name.encode(), self.kind.api_version.encode(), orjson.dumps(meta),
        )  # fmt: skip
        start = self._item_from
        if self._convert is not None or self.kind.custom:
            values = [self.object_bytes(entry) for entry in entries]
        else:
            values = [entry.value for entry in entries]
        if not values:
            return head + b"]}\n"
        if not start:
            return b"%b%b]}\n" % (head, b",".join(values))
        body = b",{".join([memoryview(value)[start:] for value in values])
        return b"%b{%b]}\n" % (head, body)
