"""Small verbs of defaulting. A field counts as left out when it is absent or null; ``fill_zero`` replaces zeros too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]


def fill(obj: Object, field: str, value: Any) -> None:
    """Set a field that was left out (a pointer in upstream's types: a given zero stays)."""
    if obj.get(field) is None:
        obj[field] = value


def fill_zero(obj: Object, field: str, value: Any) -> None:
    """Set a field that was left out or is empty or zero (a plain value in upstream's types)."""
    if not obj.get(field):
        obj[field] = value


def section(obj: Object, field: str) -> Object:
    """The object in ``field``, made when absent."""
    found = obj.get(field)
    if found is None:
        found = obj[field] = {}
    return found if isinstance(found, dict) else {}


def items(obj: Object, field: str) -> Iterator[Object]:
    """The objects of a list that may be absent."""
    for item in obj.get(field) or ():
        if isinstance(item, dict):
            yield item
