"""The standard library: operators, sizes, conversions, strings' first functions, time."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apiserver.cel.functions import Functions
from apiserver.cel.values import (
    EPOCH,
    LEAST_INT,
    MOST_INT,
    MOST_UINT,
    SECOND,
    Duration,
    EvalError,
    MapList,
    Opaque,
    SetList,
    Timestamp,
    TypeValue,
    UInt,
    equal,
    show,
    type_name,
)
from apiserver.crd.structural.patterns import linear, translate
from machinery.meta.go_format import go_float

OVERFLOW = "integer overflow"


def integer(value: int) -> int:
    if not LEAST_INT <= value <= MOST_INT:
        raise EvalError(OVERFLOW)
    return value


def unsigned(value: int) -> UInt:
    if not 0 <= value <= MOST_UINT:
        raise EvalError("unsigned integer overflow")
    return UInt(value)


def _divide(one: int, other: int) -> int:
    if other == 0:
        raise EvalError("division by zero")
    quotient = abs(one) // abs(other)
    return quotient if (one < 0) == (other < 0) else -quotient


def _modulus(one: int, other: int) -> int:
    if other == 0:
        raise EvalError("modulus by zero")
    rest = abs(one) % abs(other)
    return -rest if one < 0 else rest


def _divide_doubles(one: float, other: float) -> float:
    if other == 0:
        return float("nan") if one == 0 or one != one else float("inf") if (one > 0) else float("-inf")
    return one / other


def concatenate(one: list[Any], other: list[Any]) -> list[Any]:
    if isinstance(one, SetList):
        return SetList([*one, *(item for item in other if not any(equal(item, each) for each in one))])
    if isinstance(one, MapList):
        keys = one.keys
        merged = {tuple(map(str, (item.get(key) for key in keys))): item for item in one}
        merged.update({tuple(map(str, (item.get(key) for key in keys))): item for item in other})
        out = MapList(merged.values())
        out.keys = keys
        return out
    return [*one, *other]


def index(value: Any, key: Any) -> Any:
    if isinstance(value, list):
        if isinstance(key, float) and key.is_integer():
            key = int(key)
        if isinstance(key, bool) or not isinstance(key, int):
            raise EvalError(f"unsupported index type '{type_name(key)}' in list")
        if not 0 <= key < len(value):
            raise EvalError(f"index out of bounds: {key}")
        return value[key]
    if isinstance(value, dict):
        if key in value:
            return value[key]
        raise EvalError(f"no such key: {show(key)}")
    raise EvalError("no such overload")


@lru_cache(maxsize=512)
def pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(translate(text))
    except re.error as error:
        at = error.pos or 0
        if "unterminated character set" in str(error):
            raise EvalError(f"error parsing regexp: missing closing ]: `{text[text.rfind('['):]}`") from None
        raise EvalError(f"error parsing regexp: {error.msg}: `{text[at:]}`") from None


def matches(text: str, wanted: str) -> bool:
    """By the engine that cannot be kept busy; Python's only tells what is wrong with a pattern."""
    try:
        return linear(wanted)(text)
    except ValueError:
        pattern(wanted)
        raise EvalError(f"error parsing regexp: invalid or unsupported Perl syntax: `{wanted}`") from None


_DURATION = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS = {"ns": 1, "us": 1000, "µs": 1000, "μs": 1000, "ms": 10**6, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND}


def duration(text: str) -> Duration:
    body = text.lstrip("+-")
    if body == "0":
        return Duration(0)
    parts = list(_DURATION.finditer(body))
    if not parts or "".join(part.group() for part in parts) != body or len(text) - len(body) > 1:
        raise EvalError("type conversion error from 'string' to 'google.protobuf.Duration'")
    nanos = 0
    for part in parts:
        whole, _, fraction = part[1].partition(".")
        unit = _UNITS[part[2]]
        nanos += int(whole or 0) * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)
    return Duration(-nanos if text.startswith("-") else nanos)


_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)[tT](\d\d:\d\d:\d\d)(\.\d+)?([zZ]|[+-]\d\d:\d\d)")


def timestamp(text: str) -> Timestamp:
    match = _INSTANT.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        zone = "+00:00" if match[4] in "zZ" else match[4]
        moment = datetime.fromisoformat(f"{match[1]}T{match[2]}{zone}")
    except ValueError:
        raise EvalError("type conversion error from 'string' to 'google.protobuf.Timestamp'") from None
    nanos = int(((match[3] or ".0")[1:] + "0" * 9)[:9])
    return Timestamp(round((moment - EPOCH).total_seconds()) * SECOND + nanos)


def date_timestamp(text: str) -> Timestamp:
    day = date.fromisoformat(text)
    return Timestamp((day - EPOCH.date()).days * 86400 * SECOND)


def _to_int(value: Any) -> int:
    if isinstance(value, str):
        if re.fullmatch(r"[+-]?\d+", value) is None or not LEAST_INT <= int(value) <= MOST_INT:
            raise EvalError("type conversion error from 'string' to 'int'")
        return int(value)
    if isinstance(value, float):
        if not -(2.0**63) < value < 2.0**63:
            raise EvalError(OVERFLOW)
        return int(value)
    if isinstance(value, Timestamp):
        return value.nanos // SECOND
    return integer(int(value))


def _to_uint(value: Any) -> UInt:
    if isinstance(value, str):
        if not value.isdigit() or int(value) > MOST_UINT:
            raise EvalError("type conversion error from 'string' to 'uint'")
        return UInt(value)
    return unsigned(int(value))


def _to_double(value: Any) -> float:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise EvalError("type conversion error from 'string' to 'double'") from None
    return float(value)


def _to_bool(text: str) -> bool:
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    if text in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise EvalError("type conversion error from 'string' to 'bool'")


def _to_string(value: Any) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise EvalError("invalid UTF-8 in bytes, cannot convert to string") from None
    if isinstance(value, Opaque):
        return str(value)
    return go_float(value) if isinstance(value, float) else show(value)


def _in(item: Any, many: Any) -> bool:
    if isinstance(many, dict):
        return item in many
    return any(equal(item, each) for each in many)


def _zoned(value: Timestamp, zone: str) -> datetime:
    match = re.fullmatch(r"([+-]?)(\d{1,2}):(\d\d)", zone)
    if match is not None:
        offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
        return value.moment + (-offset if match[1] == "-" else offset)
    try:
        return value.moment.astimezone(ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError):
        raise EvalError(f"unknown time zone {zone}") from None


_PARTS = {
    "getFullYear": lambda at: at.year, "getMonth": lambda at: at.month - 1, "getDate": lambda at: at.day,
    "getDayOfMonth": lambda at: at.day - 1, "getDayOfWeek": lambda at: at.isoweekday() % 7,
    "getDayOfYear": lambda at: at.timetuple().tm_yday - 1, "getHours": lambda at: at.hour,
    "getMinutes": lambda at: at.minute, "getSeconds": lambda at: at.second,
    "getMilliseconds": lambda at: at.microsecond // 1000,
}  # fmt: skip


def add(functions: Functions) -> None:
    _operators(functions)
    _conversions(functions)
    _texts(functions)
    _times(functions)


def _operators(functions: Functions) -> None:
    on = functions.add
    on("_==_(A, A): bool", equal)
    on("_!=_(A, A): bool", lambda one, other: not equal(one, other))
    for kind in ("bool", "int", "uint", "double", "string", "bytes", "timestamp", "duration"):
        for sign, run in (
            ("<", lambda a, b: a < b), ("<=", lambda a, b: a <= b), (">", lambda a, b: a > b), (">=", lambda a, b: a >= b)
        ):  # fmt: skip
            on(f"_{sign}_({kind}, {kind}): bool", run)
            for other in ("int", "uint", "double"):
                if kind in ("int", "uint", "double") and other != kind:
                    on(f"_{sign}_({kind}, {other}): bool", run)
    for name, whole, real in (
        ("+", lambda a, b: a + b, lambda a, b: a + b), ("-", lambda a, b: a - b, lambda a, b: a - b),
        ("*", lambda a, b: a * b, lambda a, b: a * b), ("/", _divide, _divide_doubles), ("%", _modulus, None),
    ):  # fmt: skip
        on(f"_{name}_(int, int): int", lambda a, b, run=whole: integer(run(a, b)))
        on(f"_{name}_(uint, uint): uint", lambda a, b, run=whole: unsigned(run(int(a), int(b))))
        if real is not None:
            on(f"_{name}_(double, double): double", real)
    on("_+_(string, string): string", lambda a, b: a + b)
    on("_+_(bytes, bytes): bytes", lambda a, b: a + b)
    on("_+_(list(A), list(A)): list(A)", concatenate)
    on("_+_(duration, duration): duration", lambda a, b: Duration(a.nanos + b.nanos))
    on("_+_(timestamp, duration): timestamp", lambda a, b: Timestamp(a.nanos + b.nanos))
    on("_+_(duration, timestamp): timestamp", lambda a, b: Timestamp(a.nanos + b.nanos))
    on("_-_(duration, duration): duration", lambda a, b: Duration(a.nanos - b.nanos))
    on("_-_(timestamp, duration): timestamp", lambda a, b: Timestamp(a.nanos - b.nanos))
    on("_-_(timestamp, timestamp): duration", lambda a, b: Duration(a.nanos - b.nanos))
    on("-_(int): int", lambda a: integer(-a))
    on("-_(double): double", lambda a: -a)
    on("!_(bool): bool", lambda a: not a)
    on("@in(A, list(A)): bool", _in)
    on("@in(A, map(A, B)): bool", _in)
    on("_[_](list(A), int): A", index)
    on("_[_](map(A, B), A): B", index)
    for kind in ("string", "bytes", "list(A)", "map(A, B)"):
        on(f"size({kind}): int", len)
        on(f"{kind}.size(): int", len)


def _conversions(functions: Functions) -> None:
    on = functions.add
    for kind in ("int", "uint", "double", "string", "timestamp"):
        on(f"int({kind}): int", _to_int)
    for kind in ("int", "uint", "double", "string"):
        on(f"uint({kind}): uint", _to_uint)
        on(f"double({kind}): double", _to_double)
    for kind in ("int", "uint", "double", "string", "bool", "bytes", "timestamp", "duration"):
        on(f"string({kind}): string", _to_string)
    on("bool(bool): bool", lambda value: value)
    on("bool(string): bool", _to_bool)
    on("bytes(bytes): bytes", lambda value: value)
    on("bytes(string): bytes", lambda value: value.encode())
    on("timestamp(string): timestamp", timestamp)
    on("timestamp(timestamp): timestamp", lambda value: value)
    on("timestamp(int): timestamp", lambda value: Timestamp(value * SECOND))
    on("duration(string): duration", duration)
    on("duration(duration): duration", lambda value: value)
    on("duration(int): duration", lambda value: Duration(value * SECOND))
    on("dyn(A): dyn", lambda value: value)
    on("type(A): type(A)", lambda value: TypeValue(type_name(value)))


def _texts(functions: Functions) -> None:
    on = functions.add
    on("string.contains(string): bool", lambda text, part: part in text)
    on("string.startsWith(string): bool", lambda text, part: text.startswith(part))
    on("string.endsWith(string): bool", lambda text, part: text.endswith(part))
    on("string.matches(string): bool", matches)
    on("matches(string, string): bool", matches)


def _times(functions: Functions) -> None:
    on = functions.add
    for name, part in _PARTS.items():
        on(f"timestamp.{name}(): int", lambda at, part=part: part(at.moment))
        on(f"timestamp.{name}(string): int", lambda at, zone, part=part: part(_zoned(at, zone)))
    for name, unit in (("getHours", 3600 * SECOND), ("getMinutes", 60 * SECOND), ("getSeconds", SECOND)):
        on(f"duration.{name}(): int", lambda span, unit=unit: _divide(span.nanos, unit))
    on("duration.getMilliseconds(): int", lambda span: _divide(span.nanos, 10**6))
