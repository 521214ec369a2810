"""Types of CEL. Immutable; type parameters (single capital letters) are bound while an overload is matched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache


@dataclass(frozen=True)
class Type:
    """``name`` is how messages call it. ``fields`` is set for objects of a schema."""

    name: str
    params: tuple[Type, ...] = ()
    fields: Mapping[str, Type] | None = field(default=None, compare=False, hash=False)
    #: Most elements, code units or entries, as the schema allows; None where nothing is known.
    size: int | None = field(default=None, compare=False, hash=False)

    def __str__(self) -> str:
        if not self.params:
            return self.name
        return f"{self.name}({', '.join(map(str, self.params))})"

    @property
    def is_param(self) -> bool:
        return len(self.name) == 1 and self.name.isupper()

    @property
    def is_dyn(self) -> bool:
        return self.name == "dyn"


BOOL, INT, UINT, DOUBLE = Type("bool"), Type("int"), Type("uint"), Type("double")
STRING, BYTES, NULL, DYN = Type("string"), Type("bytes"), Type("null"), Type("dyn")
TIMESTAMP, DURATION = Type("timestamp"), Type("duration")
SCALARS = frozenset(("bool", "int", "uint", "double", "null", "timestamp", "duration", "type"))


def list_of(item: Type, size: int | None = None) -> Type:
    return Type("list", (item,), size=size)


def map_of(key: Type, value: Type, size: int | None = None) -> Type:
    return Type("map", (key, value), size=size)


def optional_of(inner: Type) -> Type:
    return Type("optional_type", (inner,))


def type_of(inner: Type) -> Type:
    return Type("type", (inner,))


Bindings = dict[str, Type]


def match(wanted: Type, given: Type, bound: Bindings) -> bool:
    """Whether a value of ``given`` fits ``wanted``; binds type parameters."""
    if wanted.is_param:
        known = bound.get(wanted.name)
        if known is None or (known.is_dyn and not given.is_dyn):
            bound[wanted.name] = given
            return True
        if known.is_param:
            return True
        if match(known, given, {}):
            return True
        if match(given, known, {}):
            bound[wanted.name] = given
            return True
        return False
    if wanted.is_dyn or given.is_dyn or given.is_param:
        return True
    if wanted.name != given.name:
        return given.name == "null" and (wanted.fields is not None or "." in wanted.name)
    if len(wanted.params) != len(given.params):
        return not wanted.params or not given.params
    return all(match(one, other, bound) for one, other in zip(wanted.params, given.params, strict=True))


def substitute(wanted: Type, bound: Bindings) -> Type:
    if wanted.is_param:
        return bound.get(wanted.name, DYN)
    if not wanted.params:
        return wanted
    return Type(wanted.name, tuple(substitute(one, bound) for one in wanted.params), wanted.fields, wanted.size)


def join(types: list[Type]) -> Type:
    """The type of a literal's elements: theirs if they agree, else dynamic."""
    found: Type | None = None
    for one in types:
        if found is None:
            found = one
        elif found != one:
            if found.is_dyn or not (match(found, one, {}) and match(one, found, {})):
                return DYN
    return found if found is not None else Type("A")


@lru_cache(maxsize=512)
def parse_type(text: str) -> Type:
    """``list(A)``, ``map(string, list(string))``."""
    parsed, rest = _parse(text.strip())
    assert not rest, text
    return parsed


def _parse(text: str) -> tuple[Type, str]:
    end = 0
    while end < len(text) and text[end] not in "(),":
        end += 1
    name, rest = text[:end].strip(), text[end:]
    if name == "optional":
        name = "optional_type"
    if not rest.startswith("("):
        return Type(name), rest.strip()
    params = []
    rest = rest[1:]
    while True:
        inner, rest = _parse(rest)
        params.append(inner)
        if rest.startswith(")"):
            return Type(name, tuple(params)), rest[1:].strip()
        rest = rest[1:].strip()
