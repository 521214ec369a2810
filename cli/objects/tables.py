"""The server's Tables as kubectl prints them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cli.objects.columns import format_columns

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

Table = dict[str, Any]


@dataclass(frozen=True)
class Style:
    wide: bool = False
    headers: bool = True
    namespaces: bool = False  # a column of namespaces first
    labels: bool = False  # all labels last
    label_columns: Sequence[str] = ()
    prefix: str = ""  # `pod/` before names, when several types are shown


def format_table(table: Table, style: Style) -> list[str]:
    shown = [i for i, column in enumerate(table["columnDefinitions"]) if style.wide or not column.get("priority")]
    header = [table["columnDefinitions"][i]["name"].upper() for i in shown]
    if style.namespaces:
        header.insert(0, "NAMESPACE")
    header += [key.rpartition("/")[2].upper() for key in style.label_columns]
    if style.labels:
        header.append("LABELS")
    rows = [_row(row, shown, style) for row in table.get("rows") or ()]
    return format_columns(header if style.headers else None, rows)


def _row(row: dict[str, Any], shown: Sequence[int], style: Style) -> list[str]:
    cells = [_cell(row["cells"][i]) for i in shown]
    metadata = (row.get("object") or {}).get("metadata") or {}
    labels = metadata.get("labels") or {}
    if style.prefix:
        cells[0] = style.prefix + cells[0]
    if style.namespaces:
        cells.insert(0, metadata.get("namespace", ""))
    cells += [labels.get(key, "") for key in style.label_columns]
    if style.labels:
        cells.append(",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "<none>")
    return cells


def _cell(value: Any) -> str:
    if value is None:
        return "<none>"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).partition("\n")[0]


def sort_rows(table: Table, key: str) -> None:
    """By a field of the metadata that the rows carry; for `--sort-by`."""
    from cli.objects.jsonpath import parse_jsonpath, values_at

    path = parse_jsonpath(key if key.startswith("{") else "{" + (key if key.startswith(".") else "." + key) + "}")

    def value(row: dict[str, Any]) -> tuple[bool, Any]:
        found = values_at(path, row.get("object") or {})
        return (not found, found[0] if found else "")

    table["rows"] = sorted(table.get("rows") or (), key=value)
