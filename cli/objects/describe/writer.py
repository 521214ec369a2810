"""Lines of cells, aligned where they stand under each other: the layout of kubectl's describe.

A cell ends with a tab. Cells of one column are aligned over consecutive lines that have the column; a line without it
ends the block. The last cell of a line is free.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from email.utils import format_datetime
from typing import Any

PADDING = 2
NONE = "<none>"
MAX_ANNOTATION = 140


class Writer:
    def __init__(self) -> None:
        self._lines: list[tuple[float, list[str]]] = []

    def line(self, level: float, *cells: Any) -> None:
        """Two spaces a level; kubectl indents the containers of a template by one and a half."""
        self._lines.append((level, [str(cell) for cell in cells]))

    def field(self, name: str, value: Any, level: float = 0) -> None:
        self.line(level, f"{name}:", value)

    def mapping(self, name: str, values: Mapping[str, Any] | None, level: float = 0, separator: str = "=") -> None:
        """Sorted, the first on the name's line, the others below it."""
        entries = [f"{key}{separator}{value}" for key, value in sorted((values or {}).items())] or [NONE]
        self.lines(name, entries, level)

    def lines(self, name: str, entries: Iterable[str], level: float = 0) -> None:
        first, *rest = [*entries] or [NONE]
        self.line(level, f"{name}:", first)
        for entry in rest:
            self.line(level, "", entry)

    def text(self) -> str:
        rows = [[" " * round(2 * level) + cells[0], *cells[1:]] for level, cells in self._lines]
        return "".join(line + "\n" for line in align(rows))


def align(rows: list[list[str]]) -> list[str]:
    widths: dict[tuple[int, int], int] = {}
    for column in range(max((len(row) for row in rows), default=0) - 1):
        block: list[int] = []
        for number in range(len(rows) + 1):
            if number < len(rows) and len(rows[number]) - 1 > column:
                block.append(number)
                continue
            width = max((len(rows[i][column]) for i in block), default=0) + PADDING
            widths |= {(i, column): width for i in block}
            block = []
    return [
        "".join(cell.ljust(widths.get((number, column), 0)) for column, cell in enumerate(row))
        for number, row in enumerate(rows)
    ]


def shown_time(text: str | None) -> str:
    return format_datetime(datetime.fromisoformat(text)) if text else "<unset>"


def annotations_of(obj: Mapping[str, Any]) -> dict[str, str]:
    """What `apply` keeps for itself tells a reader nothing."""
    found = obj["metadata"].get("annotations") or {}
    return {key: value for key, value in found.items() if key != "kubectl.kubernetes.io/last-applied-configuration"}


def annotation_lines(annotations: Mapping[str, str]) -> list[str]:
    """A long or broken value stands below its key, cut to what a line can show."""
    lines = []
    for key, value in sorted(annotations.items()):
        if "\n" not in value and len(key) + len(value) + 2 <= MAX_ANNOTATION:
            lines.append(f"{key}: {value}")
            continue
        lines.append(f"{key}:")
        for line in value.strip("\n").split("\n"):
            lines.append("  " + (line if len(line) <= MAX_ANNOTATION else line[: MAX_ANNOTATION - 2] + "..."))
    return lines


def selector_text(selector: Mapping[str, Any] | None) -> str:
    if not selector:
        return "<unset>"
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for expression in selector.get("matchExpressions") or ():
        operator = {"In": "in", "NotIn": "notin"}.get(expression["operator"])
        if operator:
            parts.append(f"{expression['key']} {operator} ({','.join(expression.get('values') or ())})")
        else:
            parts.append(expression["key"] if expression["operator"] == "Exists" else f"!{expression['key']}")
    return ",".join(parts) or NONE


def head(out: Writer, obj: Mapping[str, Any], *, namespaced: bool = True) -> None:
    out.field("Name", obj["metadata"]["name"])
    if namespaced:
        out.field("Namespace", obj["metadata"].get("namespace", ""))


def labels(out: Writer, obj: Mapping[str, Any]) -> None:
    out.mapping("Labels", obj["metadata"].get("labels"))
    out.lines("Annotations", annotation_lines(annotations_of(obj)))
