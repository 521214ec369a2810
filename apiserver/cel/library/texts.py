"""Strings, lists, sets, optionals and regular expressions beyond the standard library."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from apiserver.cel.functions import Functions
from apiserver.cel.library.standard import integer, matches, pattern
from apiserver.cel.values import NONE, Duration, EvalError, Optional, UInt, equal, show, some, type_name


def add(functions: Functions) -> None:
    _strings(functions)
    _lists(functions)
    _sets(functions)
    _optionals(functions)


# -- strings -------------------------------------------------------------------------------------------------------------


def _in_range(at: int, length: int) -> int:
    if not 0 <= at <= length:
        raise EvalError(f"index out of range: {at}")
    return at


def _substring(text: str, start: int, end: int) -> str:
    _in_range(end, len(text))
    _in_range(start, len(text))
    if start > end:
        raise EvalError(f"invalid substring range. start: {start}, end: {end}")
    return text[start:end]


def _split(text: str, separator: str, most: int = -1) -> list[str]:
    if most == 0:
        return []
    if most == 1:
        return [text]
    if separator:
        return text.split(separator, most - 1 if most > 0 else -1)
    parts = list(text)
    return parts if most < 0 or most >= len(parts) else [*parts[: most - 1], "".join(parts[most - 1 :])]


def _quote(text: str) -> str:
    escapes = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\",
               '"': '\\"'}  # fmt: skip
    return '"' + "".join(escapes.get(char, char) for char in text) + '"'


def _ascii(text: str, low: str, high: str, shift: int) -> str:
    return "".join(chr(ord(char) + shift) if low <= char <= high else char for char in text)


_CLAUSE = re.compile(r"%(?:(%)|(?:\.(\d+))?([a-zA-Z]))")
_SUPERSCRIPT = str.maketrans("0123456789+-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻")


def format_text(text: str, args: list[Any]) -> str:
    at = 0

    def one(match: re.Match[str]) -> str:
        nonlocal at
        if match[1]:
            return "%"
        if at >= len(args):
            raise EvalError(f"index {at} out of range")
        value, precision = args[at], int(match[2]) if match[2] else 6
        at += 1
        return _clause(match[3], value, precision)

    return _CLAUSE.sub(one, text)


def _clause(letter: str, value: Any, precision: int) -> str:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if letter == "s":
        return show(value)
    if letter == "d" and (whole or isinstance(value, float)):
        return show(value)
    if letter == "f" and (whole or isinstance(value, float)):
        return f"{value:.{precision}f}"
    if letter == "e" and (whole or isinstance(value, float)):
        mantissa, _, exponent = f"{value:.{precision}e}".partition("e")
        return f"{mantissa}×10{exponent.removeprefix('+').translate(_SUPERSCRIPT)}"
    if letter == "b" and (whole or isinstance(value, bool)):
        return f"{int(value):b}"
    if letter == "o" and whole:
        return f"{value:o}"
    if letter in "xX":
        if whole:
            return f"{value:{letter}}"
        if isinstance(value, str | bytes):
            digits = (value.encode() if isinstance(value, str) else value).hex()
            return digits.upper() if letter == "X" else digits
    names = {"d": "decimal clause can only be used on integers", "b": "only integers and bools can be formatted as binary",
             "o": "octal clause can only be used on integers",
             "x": "only integers, byte buffers, and strings can be formatted as hex",
             "X": "only integers, byte buffers, and strings can be formatted as hex",
             "f": "fixed-point clause can only be used on doubles",
             "e": "scientific clause can only be used on doubles"}  # fmt: skip
    if letter in names:
        raise EvalError(f"error during formatting: {names[letter]}, was given {type_name(value)}")
    raise EvalError(f'could not parse formatting clause: unrecognized formatting clause "{letter}"')


def _find_all(text: str, wanted: str, most: int = -1) -> list[str]:
    if not matches(text, wanted):
        return []
    found = [match.group() for match in pattern(wanted).finditer(text)]
    return found if most < 0 else found[:most]


def _find(text: str, wanted: str) -> str:
    match = pattern(wanted).search(text) if matches(text, wanted) else None  # most of what runs wild finds nothing
    return match.group() if match is not None else ""


def _last_index(text: str, part: str, at: int | None = None) -> int:
    if at is None:
        return text.rfind(part)
    _in_range(at, len(text))
    return text.rfind(part, 0, at + len(part))


def _strings(functions: Functions) -> None:
    on = functions.add
    on("string.charAt(int): string", lambda text, at: text[_in_range(at, len(text)) : at + 1])
    on("string.indexOf(string): int", lambda text, part: text.find(part))
    on("string.indexOf(string, int): int", lambda text, part, at: text.find(part, _in_range(at, len(text))))
    on("string.lastIndexOf(string): int", _last_index)
    on("string.lastIndexOf(string, int): int", _last_index)
    on("string.lowerAscii(): string", lambda text: _ascii(text, "A", "Z", 32))
    on("string.upperAscii(): string", lambda text: _ascii(text, "a", "z", -32))
    on("string.replace(string, string): string", lambda text, old, new: text.replace(old, new))
    on("string.replace(string, string, int): string", lambda text, old, new, most: text.replace(old, new, most))
    on("string.split(string): list(string)", _split)
    on("string.split(string, int): list(string)", _split)
    on("string.substring(int): string", lambda text, start: _substring(text, start, len(text)))
    on("string.substring(int, int): string", _substring)
    on("string.trim(): string", lambda text: text.strip())
    on("string.reverse(): string", lambda text: text[::-1])
    on("string.format(list(dyn)): string", format_text)
    on("list(string).join(): string", lambda items: "".join(items))
    on("list(string).join(string): string", lambda items, by: by.join(items))
    on("::strings.quote(string): string", _quote)
    on("string.find(string): string", _find)
    on("string.findAll(string): list(string)", _find_all)
    on("string.findAll(string, int): list(string)", _find_all)


# -- lists ---------------------------------------------------------------------------------------------------------------


def _least(items: list[Any], *, best: Any = min, word: str = "min") -> Any:
    if not items:
        raise EvalError(f"{word} called on empty list")
    return best(items)


def _sum(items: list[Any]) -> Any:
    if not items:
        return 0
    if isinstance(items[0], Duration):
        return Duration(sum(each.nanos for each in items))
    total = sum(items)
    if isinstance(items[0], UInt):
        return UInt(total)
    return total if isinstance(total, float) else integer(total)


def _index_of(items: list[Any], item: Any) -> int:
    return next((at for at, each in enumerate(items) if equal(each, item)), -1)


def _last_index_of(items: list[Any], item: Any) -> int:
    return next((at for at in range(len(items) - 1, -1, -1) if equal(items[at], item)), -1)


def _distinct(items: list[Any]) -> list[Any]:
    out: list[Any] = []
    for item in items:
        if not any(equal(item, each) for each in out):
            out.append(item)
    return out


def _flatten(items: list[Any], depth: int = 1) -> list[Any]:
    if depth < 0:
        raise EvalError("level must be non-negative")
    out: list[Any] = []
    for item in items:
        if isinstance(item, list) and depth:
            out += _flatten(item, depth - 1)
        else:
            out.append(item)
    return out


def _slice(items: list[Any], start: int, end: int) -> list[Any]:
    if start < 0 or end < 0:
        raise EvalError(f"cannot slice({start}, {end}), negative indexes not supported")
    if start > end:
        raise EvalError(f"cannot slice({start}, {end}), start index must be less than or equal to end index")
    if end > len(items):
        raise EvalError(f"cannot slice({start}, {end}), list is length {len(items)}")
    return items[start:end]


def _range(count: int) -> list[int]:
    if count > 1_000_000:
        raise EvalError("range too large")
    return list(range(count))


def _lists(functions: Functions) -> None:
    on = functions.add
    for kind in ("int", "uint", "double", "bool", "string", "bytes", "timestamp", "duration"):
        on(f"list({kind}).isSorted(): bool", lambda items: all(a <= b for a, b in pairwise(items)))
        on(f"list({kind}).min(): {kind}", _least)
        on(f"list({kind}).max(): {kind}", lambda items: _least(items, best=max, word="max"))
        on(f"list({kind}).sort(): list({kind})", lambda items: sorted(items))
    for kind in ("int", "uint", "double", "duration"):
        on(f"list({kind}).sum(): {kind}", _sum)
    on("list(A).indexOf(A): int", _index_of)
    on("list(A).lastIndexOf(A): int", _last_index_of)
    on("list(A).distinct(): list(A)", _distinct)
    on("list(A).slice(int, int): list(A)", _slice)
    on("list(A).reverse(): list(A)", lambda items: items[::-1])
    on("list(A).flatten(): list(dyn)", _flatten)
    on("list(A).flatten(int): list(dyn)", _flatten)
    on("::lists.range(int): list(int)", _range)
    on("list(A).first(): optional(A)", lambda items: some(items[0]) if items else NONE)
    on("list(A).last(): optional(A)", lambda items: some(items[-1]) if items else NONE)


def _sets(functions: Functions) -> None:
    on = functions.add

    def contains(whole: list[Any], part: list[Any]) -> bool:
        return all(any(equal(item, each) for each in whole) for item in part)

    on("::sets.contains(list(A), list(A)): bool", contains)
    on("::sets.equivalent(list(A), list(A)): bool", lambda one, other: contains(one, other) and contains(other, one))
    on("::sets.intersects(list(A), list(A)): bool",
       lambda one, other: any(any(equal(item, each) for each in other) for item in one))  # fmt: skip


# -- optionals -----------------------------------------------------------------------------------------------------------


def _value(optional: Optional) -> Any:
    if not optional.present:
        raise EvalError("optional.none() dereference")
    return optional.value


def _is_zero(value: Any) -> bool:
    if isinstance(value, Duration):
        return value.nanos == 0
    return value is None or (isinstance(value, bool | int | float | str | bytes | list | dict) and not value)


def _field(value: Any, key: Any) -> Optional:
    if isinstance(value, Optional):
        return _field(value.value, key) if value.present else NONE
    if isinstance(value, dict):
        return some(value[key]) if key in value else NONE
    if isinstance(value, list) and isinstance(key, int):
        return some(value[key]) if 0 <= key < len(value) else NONE
    return NONE


def _optionals(functions: Functions) -> None:
    on = functions.add
    on("::optional.of(A): optional(A)", some)
    on("::optional.none(): optional(A)", lambda: NONE)
    on("::optional.ofNonZeroValue(A): optional(A)", lambda value: NONE if _is_zero(value) else some(value))
    on("optional(A).hasValue(): bool", lambda optional: optional.present)
    on("optional(A).value(): A", _value)
    on("optional(A).orValue(A): A", lambda optional, other: optional.value if optional.present else other)
    on("optional(A).or(optional(A)): optional(A)", lambda optional, other: optional if optional.present else other)
    for name in ("_[?_]", "_?._"):
        on(f"{name}(list(A), int): optional(A)", _field)
        on(f"{name}(map(A, B), A): optional(B)", _field)
        on(f"{name}(optional(list(A)), int): optional(A)", _field)
        on(f"{name}(optional(map(A, B)), A): optional(B)", _field)
    on("_[_](optional(list(A)), int): optional(A)", _field)
    on("_[_](optional(map(A, B)), A): optional(B)", _field)


