"""Overloads by name: what each takes, gives and does.

A signature is text, ``string.charAt(int): string`` for a method and ``isURL(string): bool`` for a plain function, so that
a library reads like its documentation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from apiserver.cel.types import Type, parse_type
from apiserver.cel.values import Optional, type_name

Function = Callable[..., Any]

#: Names of run-time types where they differ from those of the checker.
_RUNTIME = {"timestamp": "google.protobuf.Timestamp", "duration": "google.protobuf.Duration", "null": "null_type"}


@dataclass(frozen=True, slots=True, eq=False)
class Overload:
    name: str
    member: bool
    args: tuple[Type, ...]
    result: Type
    run: Function

    def accepts(self, values: tuple[Any, ...]) -> bool:
        return len(values) == len(self.args) and all(map(_fits, self.args, values))


def _fits(wanted: Type, value: Any) -> bool:
    if wanted.is_param or wanted.is_dyn:
        return True
    found = type_name(value)
    if wanted.name == "optional_type":
        return isinstance(value, Optional)
    if wanted.name == "list" and isinstance(value, list):
        return not value or _fits(wanted.params[0], value[0])
    if wanted.fields is not None:
        return found == "map"
    return found == _RUNTIME.get(wanted.name, wanted.name)


class Functions:
    def __init__(self) -> None:
        self._members: dict[str, list[Overload]] = {}
        self._plain: dict[str, list[Overload]] = {}

    def add(self, signature: str, run: Function) -> None:
        overload = _read(signature, run)
        table = self._members if overload.member else self._plain
        table.setdefault(overload.name, []).append(overload)

    def members(self, name: str) -> list[Overload]:
        return self._members.get(name, [])

    def plain(self, name: str) -> list[Overload]:
        return self._plain.get(name, [])

    def knows(self, name: str) -> bool:
        return name in self._members or name in self._plain

    def has_namespace(self, prefix: str) -> bool:
        return any(name.startswith(prefix + ".") for name in self._plain)


def _read(signature: str, run: Function) -> Overload:
    """``receiver.name(arguments): result``; a name with dots and no receiver begins with ``::``."""
    head, _, result = signature.rpartition("): ")
    before, _, inside = head.partition("(") if not _is_generic(head) else _split_generic(head)
    arguments = tuple(_split(inside))
    if before.startswith("::"):
        return Overload(before[2:], False, arguments, parse_type(result), run)
    receiver, dot, name = before.rpartition(".")
    if not dot:
        return Overload(name, False, arguments, parse_type(result), run)
    return Overload(name, True, (parse_type(receiver), *arguments), parse_type(result), run)


def _is_generic(head: str) -> bool:
    """The receiver has parameters of its own: ``list(A).sum(``."""
    return "(" in head.partition(").")[0] and ")." in head


def _split_generic(head: str) -> tuple[str, str, str]:
    at = head.rindex(").") + 2
    opened = head.index("(", at)
    return head[:opened], "(", head[opened + 1 :]


def _split(text: str) -> list[Type]:
    parts, depth, start = [], 0, 0
    for at, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and not depth:
            parts.append(text[start:at])
            start = at + 1
    parts.append(text[start:])
    return [parse_type(part.strip()) for part in parts if part.strip()]
