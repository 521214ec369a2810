"""kubectl's JSONPath templates, as far as scripts use them: fields, indexes, `[*]`, `..`, filters, `range`. Pure.

A template is parsed into a list of parts: a text, a path, or a `range` with parts of its own.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cli.errors import CommandError

_TOKEN = re.compile(
    r"""(?P<deep>\.\.)?(?:
          \.?(?P<field>[A-Za-z_$@](?:[\w/-]|\\.)*)
        | \.?(?P<star>\*)
        | \[\s*'(?P<quoted>(?:[^'\\]|\\.)*)'\s*\]
        | \[\s*"(?P<double>(?:[^"\\]|\\.)*)"\s*\]
        | \[\s*(?P<all>\*)\s*\]
        | \[\s*\?\(\s*@(?P<left>[^=!<>]*?)\s*(?:(?P<operator>==|!=|<=|>=|<|>)\s*(?P<right>[^)]*?))?\s*\)\s*\]
        | \[\s*(?P<slice>-?\d*(?::-?\d*){0,2})\s*\]
    )""",
    re.VERBOSE,
)


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge,
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    kind: str  # field, all, slice, filter
    argument: Any = None
    deep: bool = False


@dataclass(frozen=True)
class Path:
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Range:
    path: Path
    body: tuple[Any, ...]


def parse_jsonpath(template: str) -> Path:
    """One path in braces."""
    (part,) = parse_template(template)
    if not isinstance(part, Path):
        raise CommandError(f"error: {template!r} is not a single path")
    return part


def parse_template(template: str) -> tuple[Any, ...]:
    stack: list[tuple[Path | None, list[Any]]] = [(None, [])]
    for piece in re.findall(r"\{(?:[^{}'\"]|'[^']*'|\"[^\"]*\")*\}|[^{]+", template):
        parts = stack[-1][1]
        if not piece.startswith("{"):
            parts.append(piece)
            continue
        inner = piece[1:-1].strip()
        if inner.startswith("range "):
            stack.append((_path(inner[6:].strip()), []))
        elif inner == "end":
            path, body = stack.pop()
            if path is None:
                raise CommandError("error: error parsing jsonpath: end without range")
            stack[-1][1].append(Range(path, tuple(body)))
        elif inner[:1] in "'\"":
            parts.append(json.loads('"' + inner[1:-1].replace('\\"', '"').replace('"', '\\"') + '"'))
        else:
            parts.append(_path(inner))
    if len(stack) != 1:
        raise CommandError("error: error parsing jsonpath: range without end")
    return tuple(stack[0][1])


def _path(text: str) -> Path:
    steps, position = [], 0
    text = text.removeprefix("$") if text.startswith(("$.", "$[")) else text
    text = text.removeprefix("@") if text.startswith(("@.", "@[")) or text == "@" else text
    while position < len(text):
        if text[position] == "." and position + 1 == len(text):
            break  # a lone dot is the object itself
        match = _TOKEN.match(text, position)
        if match is None or match.end() == position:
            raise CommandError(f"error: error parsing jsonpath {text!r}: unrecognized character at {position}")
        steps.append(_step(match))
        position = match.end()
    return Path(tuple(steps))


def _step(match: re.Match[str]) -> Step:
    deep = bool(match["deep"])
    for group in ("field", "quoted", "double"):
        if match[group] is not None:
            return Step("field", re.sub(r"\\(.)", r"\1", match[group]), deep)
    if match["star"] or match["all"]:
        return Step("all", None, deep)
    if match["left"] is not None:
        right = (match["right"] or "").strip()
        value = right[1:-1] if right[:1] in ("'", '"') else json.loads(right) if right else None
        return Step("filter", (_path(match["left"].strip()), match["operator"], value), deep)
    return Step("slice", match["slice"], deep)


def values_at(path: Path, obj: Any) -> list[Any]:
    values = [obj]
    for step in path.steps:
        if step.deep:
            values = [inner for value in values for inner in _descend(value)]
        values = [found for value in values for found in _apply(step, value)]
    return values


def _descend(value: Any) -> Iterator[Any]:
    yield value
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        yield from _descend(child)


def _apply(step: Step, value: Any) -> list[Any]:
    if step.kind == "field":
        return [value[step.argument]] if isinstance(value, dict) and step.argument in value else []
    items = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    if step.kind == "all":
        return items
    if not isinstance(value, list):
        return []
    if step.kind == "filter":
        left, comparison, right = step.argument
        return [item for item in items if _matches(values_at(left, item), comparison, right)]
    numbers = step.argument.split(":")
    if len(numbers) == 1:
        index = int(numbers[0])
        return [items[index]] if -len(items) <= index < len(items) else []
    return items[slice(*(int(number) if number else None for number in numbers))]


def _matches(found: Sequence[Any], comparison: str | None, right: Any) -> bool:
    if comparison is None:
        return bool(found)
    if not found:
        return False
    left = found[0]
    try:
        return bool(_OPERATORS[comparison](left, right))
    except TypeError:
        return False  # a text is neither more nor less than a number


def render_template(template: str, obj: Any) -> str:
    return "".join(_render(parse_template(template), obj))


def _render(parts: Sequence[Any], obj: Any) -> Iterator[str]:
    for part in parts:
        if isinstance(part, str):
            yield part
        elif isinstance(part, Path):
            yield " ".join(_text(value) for value in values_at(part, obj))
        else:
            for value in values_at(part.path, obj):
                yield from _render(part.body, value)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"))
