"""Pieces of cells that many kinds share: labels, selectors, containers, lists that are cut short."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from machinery.api.printers.durations import since
from machinery.meta.selectors import label_selector_from_dict

Object = dict[str, Any]

NONE = "<none>"
UNSET = "<unset>"


def name_of(obj: Object) -> str:
    return str(obj["metadata"].get("name", ""))


def age(obj: Object, now: datetime) -> str:
    return since(obj["metadata"].get("creationTimestamp"), now)


def spec_of(obj: Object) -> Object:
    return obj.get("spec") or {}


def status_of(obj: Object) -> Object:
    return obj.get("status") or {}


def format_labels(labels: dict[str, str] | None) -> str:
    return ",".join(f"{key}={labels[key]}" for key in sorted(labels)) if labels else NONE


def format_selector(selector: Object | None) -> str:
    """A LabelSelector as text; one that selects everything or nothing has none."""
    if not selector:
        return NONE
    try:
        return str(label_selector_from_dict(selector)) or NONE
    except ValueError:
        return "<error>"


def container_cells(template: Object | None) -> tuple[str, str]:
    containers = spec_of(template or {}).get("containers") or []
    return (
        ",".join(container.get("name", "") for container in containers),
        ",".join(container.get("image", "") for container in containers),
    )


def shortened(words: Sequence[str], *, limit: int = 3, empty: str = NONE, separator: str = ",") -> str:
    """The first few words and how many more there are."""
    text = separator.join(words[:limit])
    if len(words) > limit:
        return f"{text} + {len(words) - limit} more..."
    return text or empty


def bool_text(value: bool | None) -> str:
    return UNSET if value is None else "True" if value else "False"
