"""JSONPath as far as custom resources use it: printer columns, scale paths, selectable fields.

``.spec.list[?(@.name=="x")].value``, ``.metadata.labels['a.b/c']``, ``.a\\.b``, ``[0]``, ``[-1]``, ``[1:3]``, ``[*]``
and ``..name``. A path is compiled once into steps; finding walks them and never raises: what is missing is not found.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

Step = Callable[[Any], Iterator[Any]]

_NAME = re.compile(r"\.((?:[^.\[\]\\{}]|\\.)+)")
_QUOTED = re.compile(r"""\[\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\s*\]""")
_INDEX = re.compile(r"\[\s*(-?\d+)\s*\]")
_SLICE = re.compile(r"\[\s*(-?\d+)?\s*:\s*(-?\d+)?\s*\]")
_WILD = re.compile(r"\[\s*\*\s*\]|\.\*")
_FILTER = re.compile(r"\[\?\(\s*@((?:\.[\w\\./-]+|\[[^\]]+\])*)\s*(?:(==|!=|<=|>=|<|>)\s*(.+?))?\s*\)\]")
_DEEP = re.compile(r"\.\.([\w-]+|\*)")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


class PathError(ValueError):
    """The text is no path that can be understood."""


@lru_cache(maxsize=1024)
def compile_path(path: str) -> tuple[Step, ...]:
    """The steps of a path; braces around it and ``$`` before it may be there or not."""
    text = path.strip()
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1]
    rest = text.removeprefix("$")
    steps: list[Step] = []
    while rest:
        for pattern, make in _SYNTAX:
            match = pattern.match(rest)
            if match is not None:
                steps.append(make(match))
                rest = rest[match.end() :]
                break
        else:
            if rest == ".":
                break
            raise PathError(f"unrecognized path at {rest!r}")
    return tuple(steps)


def find(path: str, obj: Any) -> list[Any]:
    """All values at a path; none when the path is missing or cannot be read."""
    try:
        steps = compile_path(path)
    except PathError:
        return []
    values = [obj]
    for step in steps:
        values = [found for value in values for found in step(value)]
    return values


def find_one(path: str, obj: Any) -> Any:
    """The first value at a path, or None."""
    values = find(path, obj)
    return values[0] if values else None


def _field(name: str) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield value[name]

    return step


def _index(position: int) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and -len(value) <= position < len(value):
            yield value[position]

    return step


def _slice(start: str | None, end: str | None) -> Step:
    span = slice(int(start) if start else None, int(end) if end else None)

    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            yield from value[span]

    return step


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _deep(name: str) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if name == "*":
            yield from _children(value)
        elif isinstance(value, dict) and name in value:
            yield value[name]
        for child in _children(value):
            yield from step(child)

    return step


def _filter(path: str, sign: str | None, literal: str | None) -> Step:
    inner = compile_path(path) if path else ()

    def values_of(item: Any) -> list[Any]:
        values = [item]
        for step in inner:
            values = [found for value in values for found in step(value)]
        return values

    wanted = _literal(literal) if literal is not None else None

    def step(value: Any) -> Iterator[Any]:
        for item in value if isinstance(value, list) else ():
            found = values_of(item)
            if sign is None:
                if found:
                    yield item
            elif found and _holds(_COMPARE[sign], found[0], wanted):
                yield item

    return step


def _holds(compare: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    try:
        return compare(left, right)
    except TypeError:
        return False


def _literal(text: str) -> Any:
    if text[:1] in "'\"" and text[:1] == text[-1:]:
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError as error:
        raise PathError(f"unrecognized literal {text!r}") from error


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


_SYNTAX: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Step]], ...] = (
    (_DEEP, lambda match: _deep(match[1])),
    (_WILD, lambda _match: _children),
    (_NAME, lambda match: _field(_unescape(match[1]))),
    (_QUOTED, lambda match: _field(_unescape(match[1] if match[1] is not None else match[2]))),
    (_INDEX, lambda match: _index(int(match[1]))),
    (_SLICE, lambda match: _slice(match[1], match[2])),
    (_FILTER, lambda match: _filter(match[1], match[2], match[3])),
)
