"""Printers of custom resources, from the additionalPrinterColumns of their definition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import orjson

from machinery.api.jsonpath import find
from machinery.api.printers.cells import name_of
from machinery.api.printers.columns import AGE_DOC, NAME, Cells, Column, Printer
from machinery.api.printers.durations import human_duration, parse_instant, since

Object = dict[str, Any]

_AGE = Column("Age", type="date", doc=AGE_DOC)


def custom_printer(column_definitions: Sequence[Object] | None) -> Printer:
    """Name, then the definition's columns; Name and Age when it has none."""
    if not column_definitions:
        return Printer((NAME, _AGE), lambda obj, now: [name_of(obj), since(_created_at(obj), now)])
    columns = tuple(_column(definition) for definition in column_definitions)
    getters = [_getter(one.get("type", ""), one.get("jsonPath", "")) for one in column_definitions]

    def row(obj: Object, now: datetime) -> Cells:
        return [name_of(obj), *(getter(obj, now) for getter in getters)]

    return Printer((NAME, *columns), row)


def _created_at(obj: Object) -> str | None:
    created_at: str | None = obj["metadata"].get("creationTimestamp")
    return created_at


def _column(definition: Object) -> Column:
    path = definition.get("jsonPath", "")
    text = definition.get("description") or f"Custom resource definition column (in JSONPath format): {path}"
    return Column(
        definition.get("name", ""), definition.get("type", ""), definition.get("format", ""),
        definition.get("priority", 0), text=text,
    )  # fmt: skip


def _getter(type_: str, path: str) -> Callable[[Object, datetime], Any]:
    def get(obj: Object, now: datetime) -> Any:
        values = find(path, obj)
        if not values or values[0] is None:
            return None
        return _cell(type_, values[0], now)

    return get


def _cell(type_: str, value: Any, now: datetime) -> Any:
    """A value as its column's type prints it; None when it is of another type."""
    match type_:
        case "integer":
            return int(value) if _is_number(value) else None
        case "number":
            return value if _is_number(value) else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case "date":
            at = parse_instant(value) if isinstance(value, str) else None
            if at is None or at.tzinfo is None:
                return "<invalid>" if isinstance(value, str) else None
            return human_duration((now - at).total_seconds())
        case "string":
            return _text(value)
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
