"""Tables: what ``kubectl get`` shows, computed by the server.

``table(kind, objects, now)`` builds the whole Table document; ``printer_for(kind)`` gives columns and rows alone. Kinds
without a printer of their own get Name and Created At. Custom resources pass the printer that
:func:`machinery.api.printers.custom.custom_printer` makes from their definition.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from machinery.api.kinds import Kind
from machinery.api.printers import access, core, events, networking, others, pods, storage, workloads
from machinery.api.printers.cells import name_of
from machinery.api.printers.columns import CREATED_AT, NAME, Cells, Column, Printer, definitions

Object = dict[str, Any]

TABLE_API_VERSION = "meta.k8s.io/v1"


def _plain_row(obj: Object, now: datetime) -> Cells:
    return [name_of(obj), obj["metadata"].get("creationTimestamp", "<unknown>")]


PLAIN = Printer((NAME, CREATED_AT), _plain_row)

_PRINTERS: dict[tuple[str, str], Printer] = {}
for _module in (access, core, events, networking, others, pods, storage, workloads):
    _PRINTERS.update(_module.PRINTERS)


def printer_for(kind: Kind) -> Printer:
    return _PRINTERS.get((kind.api_version, kind.kind), PLAIN)


def all_columns() -> Iterator[Column]:
    for printer in (*_PRINTERS.values(), PLAIN):
        yield from printer.columns


def columns(kind: Kind) -> list[Object]:
    """The column definitions of a kind."""
    return definitions(printer_for(kind).columns)


def row(kind: Kind, obj: Object, now: datetime) -> Cells:
    """The cells of one object, in the order of its columns."""
    return printer_for(kind).row(obj, now)


def table(
    kind: Kind, objects: Iterable[Object], now: datetime, *, include_object: str = "Metadata",
    metadata: Object | None = None, printer: Printer | None = None, with_columns: bool = True,
    api_version: str = TABLE_API_VERSION,
) -> Object:  # fmt: skip
    """A Table. ``include_object`` is None, Metadata or Object; ``metadata`` that of the list (or of the one object).
    A watch sends the columns only in its first event."""
    printer = printer or printer_for(kind)
    return {
        "kind": "Table", "apiVersion": api_version, "metadata": metadata or {},
        "columnDefinitions": definitions(printer.columns) if with_columns else None,
        "rows": [_table_row(printer, obj, now, include_object, api_version) for obj in objects],
    }  # fmt: skip


def _table_row(printer: Printer, obj: Object, now: datetime, include_object: str, api_version: str) -> Object:
    out: Object = {"cells": printer.row(obj, now)}
    conditions = printer.conditions(obj) if printer.conditions else []
    if conditions:
        out["conditions"] = conditions
    if include_object == "Object":
        out["object"] = obj
    elif include_object == "Metadata":
        out["object"] = partial_metadata(obj, api_version)
    else:
        out["object"] = None
    return out


def partial_metadata(obj: Object, api_version: str = TABLE_API_VERSION) -> Object:
    """An object reduced to its metadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": api_version, "metadata": obj["metadata"]}
