"""Columns as kubectl prints them: as wide as the widest cell, three spaces between, nothing after the last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

GAP = "   "


def format_columns(
    header: Sequence[str] | None, rows: Sequence[Sequence[Any]], *, closed: bool = False
) -> list[str]:
    """``closed``: the last column is a column too, with its width and gap, as `top` prints it."""
    cells = [[str(cell) for cell in row] for row in rows]
    lines = [list(header), *cells] if header is not None else cells
    if not lines:
        return []
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    if not closed:
        widths[-1] = 0
    end = GAP if closed else ""
    return [GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + end for line in lines]


def print_columns(header: Sequence[str] | None, rows: Sequence[Sequence[Any]], *, closed: bool = False) -> None:
    for line in format_columns(header, rows, closed=closed):
        print(line)
