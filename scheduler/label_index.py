"""Node labels by column: for a key, the value of every node as a small integer.

Columns are made when a key is first asked for. ``codes[slot]`` is the value's number or -1 (no such label), so that a
requirement over 5,000 nodes is one numpy comparison and a topology domain is a number to count by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

ABSENT = -1


@dataclass(slots=True)
class Column:
    codes: IntArray
    numbers: dict[str, int] = field(default_factory=dict)

    def code(self, value: str) -> int:
        """The number of a value; ABSENT - 1 (never stored) for a value no node has."""
        return self.numbers.get(value, ABSENT - 1)

    @property
    def size(self) -> int:
        return len(self.numbers)


class LabelIndex:
    """Columns over slots. Invariant: a column that exists agrees with the labels last given for every slot."""

    def __init__(self, capacity: int) -> None:
        self._labels: list[Mapping[str, str]] = [{}] * capacity
        self._columns: dict[str, Column] = {}

    def grow(self, capacity: int) -> None:
        added = capacity - len(self._labels)
        self._labels.extend([{}] * added)
        for column in self._columns.values():
            column.codes = np.concatenate([column.codes, np.full(added, ABSENT, np.int64)])

    def set(self, slot: int, labels: Mapping[str, str]) -> None:
        self._labels[slot] = labels
        for key, column in self._columns.items():
            column.codes[slot] = self._number(column, labels.get(key))

    def column(self, key: str) -> Column:
        column = self._columns.get(key)
        if column is None:
            column = Column(np.full(len(self._labels), ABSENT, np.int64))
            self._columns[key] = column
            for slot, labels in enumerate(self._labels):
                column.codes[slot] = self._number(column, labels.get(key))
        return column

    @staticmethod
    def _number(column: Column, value: str | None) -> int:
        if value is None:
            return ABSENT
        return column.numbers.setdefault(value, len(column.numbers))

    def requirement(self, key: str, operator: str, values: list[str]) -> BoolArray:
        """Slots that meet a node-selector requirement (In, NotIn, Exists, DoesNotExist, Gt, Lt)."""
        column = self.column(key)
        codes = column.codes
        if operator == "Exists":
            return np.not_equal(codes, ABSENT)
        if operator == "DoesNotExist":
            return np.equal(codes, ABSENT)
        if operator in ("In", "NotIn"):
            wanted = [column.code(value) for value in values]
            found = codes == wanted[0] if len(wanted) == 1 else np.isin(codes, wanted)
            return found if operator == "In" else ~found
        return self._compare(column, operator, values)

    @staticmethod
    def _compare(column: Column, operator: str, values: list[str]) -> BoolArray:
        try:
            bound = int(values[0])
        except (ValueError, IndexError):
            return np.zeros(len(column.codes), np.bool_)
        good = [code for value, code in column.numbers.items() if _meets(value, operator, bound)]
        return np.isin(column.codes, good)


def _meets(value: str, operator: str, bound: int) -> bool:
    try:
        number = int(value)
    except ValueError:
        return False
    return number > bound if operator == "Gt" else number < bound
