"""What a client gets to see: the object itself, only its metadata, or a table of it; in the negotiated type.

JSON of whole objects is copied bytes. Everything else is made from the parsed object and kept with the cache's entry,
because who asks for tables or metadata asks again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson

from apiserver.registry.codec import ObjectCodec, PiecedBody
from apiserver.server.negotiate import JSON, MediaType, RouteError
from apiserver.server.responses import encode_document, encode_json
from apiserver.storage.cacher import Entry
from machinery.api.kinds import Kind
from machinery.api.printers import table
from machinery.api.printers.columns import Printer
from machinery.meta.errors import ApiError

Object = dict[str, Any]

INCLUDE = ("None", "Metadata", "Object")


class Printers(Protocol):
    """Who knows how a kind is printed (built-in kinds by table, custom ones by their definition)."""

    def of(self, kind: Kind) -> Printer: ...


def include_object(value: str | None) -> str:
    if not value:
        return "Metadata"
    if value not in INCLUDE:
        raise RouteError(
            400, "BadRequest",
            f'Unable to convert to Table as requested: includeObject: Invalid value: "{value}": must be '
            "'Metadata', 'Object', 'None', or empty",
        )
    return value


def partial_metadata(obj: Object, version: str = "v1") -> Object:
    return {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{version}", "metadata": obj["metadata"]}


class Presenter:
    """Objects of one served kind in the form that one client asked for."""

    def __init__(
        self, kind: Kind, media: MediaType, printers: Printers, *, include: str = "Metadata", pretty: bool = False
    ) -> None:
        self.kind = kind
        self.media = media
        self._printers = printers
        self._include = include
        self._pretty = pretty

    @property
    def is_plain_json(self) -> bool:
        """The stored bytes are the answer."""
        return self.media.type == JSON and not self.media.transform and not self._pretty and not self.media.pretty

    # -- one object

    def object(self, obj: Object) -> bytes:
        """An object that was just written (a fresh dict)."""
        transform = self.media.transform
        if transform == "Table":
            return self._encode(self.table([obj], obj["metadata"].get("resourceVersion", "")))
        if transform == "PartialObjectMetadata":
            return self._encode(partial_metadata(obj, self.media.version))
        if transform:
            raise list_of_one(self.kind)
        return self._encode(ordered(obj))

    def entry(self, entry: Entry, codec: ObjectCodec) -> bytes:
        if self.is_plain_json:
            return codec.object_bytes(entry) + b"\n"
        return self.object(codec.parsed(entry))

    # -- lists

    def list(
        self, codec: ObjectCodec, entries: Sequence[Entry], revision: int, token: str, remaining: int | None
    ) -> bytes | PiecedBody:
        transform = self.media.transform
        if not transform and self.is_plain_json:
            return codec.list_bytes(entries, revision, token, remaining)
        meta: Object = {"resourceVersion": str(revision)}
        if token:
            meta["continue"] = token
            if remaining:
                meta["remainingItemCount"] = remaining
        elif self.kind.custom and not transform:
            meta["continue"] = ""
        if transform == "Table":
            return self._table_list(codec, entries, meta)
        if transform == "PartialObjectMetadataList":
            return self._metadata_list(codec, entries, meta)
        if transform:
            raise one_of_list(self.kind, transform)
        items = [self._item(codec.parsed(entry)) for entry in entries]
        return self._encode(
            {"kind": self.kind.list_kind_name, "apiVersion": self.kind.api_version, "metadata": meta, "items": items}
        )

    def objects(self, objs: Iterable[Object], meta: Object) -> bytes:
        """A list of dicts (what a deletecollection removed)."""
        transform = self.media.transform
        if transform == "Table":
            table = self.table(list(objs), "")
            table["metadata"] = meta
            return self._encode(table)
        if transform == "PartialObjectMetadataList":
            version = self.media.version
            items = [partial_metadata(obj, version) for obj in objs]
            return self._encode({
                "kind": transform, "apiVersion": f"meta.k8s.io/{version}", "metadata": meta, "items": items,
            })  # fmt: skip
        if self.kind.custom:
            meta = {"continue": "", **meta}
        items = [self._item(obj) for obj in objs]
        return self._encode(
            {"kind": self.kind.list_kind_name, "apiVersion": self.kind.api_version, "metadata": meta, "items": items}
        )

    def _item(self, obj: Object) -> Object:
        if self.kind.custom:
            return obj
        return {name: value for name, value in obj.items() if name not in ("kind", "apiVersion")}

    def _metadata_list(self, codec: ObjectCodec, entries: Sequence[Entry], meta: Object) -> bytes:
        version = self.media.version
        if not entries:
            return self._encode({
                "kind": "PartialObjectMetadataList", "apiVersion": f"meta.k8s.io/{version}", "metadata": meta,
                "items": None,
            })  # fmt: skip
        if self.media.type == JSON and not self._pretty and version == "v1":
            head = orjson.dumps(
                {"kind": "PartialObjectMetadataList", "apiVersion": f"meta.k8s.io/{version}", "metadata": meta}
            )
            return b'%b,"items":[%b]}\n' % (head[:-1], b",".join([metadata_bytes(entry) for entry in entries]))
        items = [partial_metadata(codec.parsed(entry), version) for entry in entries]
        return self._encode({
            "kind": "PartialObjectMetadataList", "apiVersion": f"meta.k8s.io/{version}", "metadata": meta,
            "items": items,
        })  # fmt: skip

    def _table_list(self, codec: ObjectCodec, entries: Sequence[Entry], meta: Object) -> bytes:
        table = self.table([codec.parsed(entry) for entry in entries], "")
        table["metadata"] = meta
        return self._encode(table)

    # -- tables

    def table(self, objs: Sequence[Object], revision: str, *, columns: bool = True) -> Object:
        printed: Object = table(
            self.kind, [ordered(obj) for obj in objs], datetime.now(UTC), include_object=self._include,
            metadata={"resourceVersion": revision} if revision else {}, printer=self._printers.of(self.kind),
            with_columns=columns, api_version=self.media.api_version,
        )  # fmt: skip
        if not objs:
            printed["rows"] = None
        return printed

    # -- watch events

    def event(self, type_: str, obj: Object, *, first: bool) -> Object:
        transform = self.media.transform
        if transform == "Table":
            revision = obj["metadata"].get("resourceVersion", "")
            shown = self.table([obj], revision, columns=first)
        elif transform:
            shown = partial_metadata(obj, self.media.version)
        else:
            shown = ordered(obj)
        return {"type": type_, "object": shown}

    def bookmark_table(self, obj: Object, *, first: bool) -> Object:
        """A bookmark on a watch of tables: one row without cells to speak of, around the bookmark's object."""
        table = self.table([obj], obj["metadata"]["resourceVersion"], columns=first)
        return table

    def _encode(self, doc: Object) -> bytes:
        if self.media.type == JSON:
            return encode_json(doc, pretty=self._pretty or self.media.pretty)
        return encode_document(doc, self.media)


def metadata_bytes(entry: Entry) -> bytes:
    """PartialObjectMetadata of an entry, made once."""
    return entry.cached("metadata", _encode_metadata)  # type: ignore[no-any-return]


def _encode_metadata(entry: Entry) -> bytes:
    return orjson.dumps(partial_metadata(entry.parsed))


def ordered(obj: Object) -> Object:
    if next(iter(obj), "") == "kind":
        return obj
    return {"kind": obj.get("kind"), "apiVersion": obj.get("apiVersion"), **obj}


def list_of_one(kind: Kind) -> ApiError:
    return ApiError(
        406, "NotAcceptable",
        "you requested PartialObjectMetadataList, but the requested object is not a list "
        f"(*{_go_name(kind)})",
    )  # fmt: skip


def one_of_list(kind: Kind, transform: str) -> ApiError:
    return ApiError(
        406, "NotAcceptable", f"you requested {transform}, but the requested object is a list (*{_go_name(kind)}List)"
    )


def _go_name(kind: Kind) -> str:
    from apiserver.endpoints.bodies import internal_package

    return f"{internal_package(kind.group)}.{kind.kind}"


Encoder = Callable[[Object], bytes]
