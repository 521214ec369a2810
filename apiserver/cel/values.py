"""Values that Python has no type for, and how values compare and print.

int, double, string, bytes, bool, null, list and map are Python's; an unsigned integer, a duration, an optional, a type
and Kubernetes' own kinds of values are classes here. Timestamps are aware datetimes with their nanoseconds beside.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from machinery.meta.go_format import go_float

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000_000
MOST_INT, LEAST_INT, MOST_UINT = 2**63 - 1, -(2**63), 2**64 - 1


class EvalError(Exception):
    """An expression cannot be evaluated for this input."""


class UInt(int):
    """An unsigned integer: the same arithmetic, another range, another type."""


@functools.total_ordering
@dataclass(frozen=True, slots=True)
class Duration:
    nanos: int

    def __lt__(self, other: Duration) -> bool:
        return self.nanos < other.nanos

    def __str__(self) -> str:
        seconds = self.nanos / SECOND
        whole, rest = divmod(abs(self.nanos), SECOND)
        sign = "-" if self.nanos < 0 else ""
        return f"{sign}{whole}s" if not rest else f"{sign}{whole}.{rest:09d}".rstrip("0") + "s" if seconds else "0s"


@functools.total_ordering
@dataclass(frozen=True, slots=True)
class Timestamp:
    """Nanoseconds since 1970."""

    nanos: int

    def __lt__(self, other: Timestamp) -> bool:
        return self.nanos < other.nanos

    @property
    def moment(self) -> datetime:
        return EPOCH + timedelta(microseconds=self.nanos // 1000)

    def __str__(self) -> str:
        text = self.moment.strftime("%Y-%m-%dT%H:%M:%S")
        rest = self.nanos % SECOND
        return text + (f".{rest:09d}".rstrip("0") if rest else "") + "Z"


@dataclass(frozen=True, slots=True)
class TypeValue:
    name: str

    def __str__(self) -> str:
        return self.name


class Optional:
    __slots__ = ("present", "value")

    def __init__(self, present: bool, value: Any = None) -> None:
        self.present = present
        self.value = value


NONE = Optional(False)


def some(value: Any) -> Optional:
    return Optional(True, value)


class SetList(list[Any]):
    """A list whose order means nothing: x-kubernetes-list-type set."""


class MapList(list[Any]):
    """Items under keys: x-kubernetes-list-type map."""

    keys: tuple[str, ...] = ()


class Struct(dict[str, Any]):
    """A message that an expression made."""

    def __init__(self, name: str, fields: dict[str, Any]) -> None:
        super().__init__(fields)
        self.name = name


class Opaque:
    """A value of a library: it has a type name and is equal by what it stands for."""

    type_name = ""

    def identity(self) -> Any:
        raise NotImplementedError


def type_name(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, UInt):
        return "uint"
    if isinstance(value, Opaque):
        return value.type_name
    if isinstance(value, Struct):
        return value.name
    for kind, name in _NAMES:
        if isinstance(value, kind):
            return name
    return "null_type" if value is None else type(value).__name__


_NAMES: tuple[tuple[type, str], ...] = (
    (int, "int"), (float, "double"), (str, "string"), (bytes, "bytes"), (list, "list"), (dict, "map"),
    (Timestamp, "google.protobuf.Timestamp"), (Duration, "google.protobuf.Duration"), (TypeValue, "type"),
    (Optional, "optional_type"),
)  # fmt: skip


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other
    if isinstance(one, list) and isinstance(other, list):
        return _equal_lists(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return len(one) == len(other) and all(key in other and equal(value, other[key]) for key, value in one.items())
    if isinstance(one, Optional) and isinstance(other, Optional):
        return one.present == other.present and (not one.present or equal(one.value, other.value))
    if isinstance(one, Opaque) and isinstance(other, Opaque):
        return one.type_name == other.type_name and bool(one.identity() == other.identity())
    return type(one) is type(other) and bool(one == other)


def _equal_lists(one: list[Any], other: list[Any]) -> bool:
    if len(one) != len(other):
        return False
    if isinstance(one, SetList | MapList) or isinstance(other, SetList | MapList):
        return all(any(equal(item, each) for each in other) for item in one)
    return all(map(equal, one, other))


def show(value: Any) -> str:
    """As ``%s`` of format prints it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        if value != value:
            return "NaN"
        return ("Infinity" if value > 0 else "-Infinity") if abs(value) == float("inf") else go_float(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(_shown_inside, value)) + "]"
    if isinstance(value, dict):
        parts = sorted(f"{_shown_inside(key)}:{_shown_inside(one)}" for key, one in value.items())
        return "{" + ", ".join(parts) + "}"
    if isinstance(value, Opaque | Optional):
        raise EvalError(
            f"error during formatting: string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, "
            f"types, durations, and timestamps, was given {type_name(value)}"
        )
    return str(value)


def _shown_inside(value: Any) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t") + '"'
    return show(value)
