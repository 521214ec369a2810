"""Column definitions and the printer of one kind: what a Table's head and rows are made of.

Most descriptions are the documentation of the field that a column shows. They are named by definition and field and
read from the packaged definitions when the first table is asked for; only the sentences in use are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from machinery.api.schema import META, read_definitions

Object = dict[str, Any]
Cells = list[Any]

NAME_DOC = META + "ObjectMeta.name"
AGE_DOC = META + "ObjectMeta.creationTimestamp"


@dataclass(frozen=True, slots=True)
class Column:
    """``doc`` names ``<group>.<version>.<Definition>.<field>``; ``text`` is a description of its own."""

    name: str
    type: str = "string"
    format: str = ""
    priority: int = 0
    doc: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Printer:
    """``row`` returns the cells of all columns, the wide ones too."""

    columns: tuple[Column, ...]
    row: Callable[[Object, datetime], Cells]
    #: Conditions of a row: clients fold rows that are Completed.
    conditions: Callable[[Object], list[Object]] | None = None


NAME = Column("Name", format="name", doc=NAME_DOC)
AGE = Column("Age", doc=AGE_DOC)
CREATED_AT = Column("Created At", type="date", doc=AGE_DOC)


def wide(name: str, doc: str = "", text: str = "", type: str = "string") -> Column:
    return Column(name, type=type, priority=1, doc=doc, text=text)


CONTAINERS = wide("Containers", text="Names of each container in the template.")
IMAGES = wide("Images", text="Images referenced by each container in the template.")


def definitions(columns: Iterable[Column]) -> list[Object]:
    """The ``columnDefinitions`` of a Table."""
    return [
        {
            "name": column.name, "type": column.type, "format": column.format,
            "description": describe(column), "priority": column.priority,
        }
        for column in columns
    ]  # fmt: skip


def describe(column: Column) -> str:
    return _docs()[column.doc] if column.doc else column.text


@cache
def _docs() -> dict[str, str]:
    """The sentences that columns refer to, in one reading."""
    from machinery.api.printers import all_columns

    raw = read_definitions()
    found: dict[str, str] = {}
    for column in all_columns():
        if column.doc and column.doc not in found:
            name, _, field = column.doc.rpartition(".")
            definition = raw.get(name) or raw[f"io.k8s.api.{name}"]
            found[column.doc] = definition["properties"][field].get("description", "")
    return found
