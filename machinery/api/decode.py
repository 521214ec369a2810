"""Decoding: a parsed body becomes an object of its kind, or an error in upstream's words.

Upstream decodes JSON into structs; we keep dicts, and make the dict what the struct would have held: unknown fields are
taken out (and reported), ``null`` means absent, null items become zero values, quantities and instants get their
canonical text. A wrong type is an error that names struct, path and type. Two kinds of errors differ in rank, as in
upstream's decoder: a plain type mismatch is remembered (the first one wins) and decoding goes on, while a text that a
type's own parser refuses (a quantity, an instant, an int-or-string) ends decoding at once and wins over the others.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from machinery.api.gotypes import embedding, go_type
from machinery.api.instants import InstantError, canonical_micro_time, canonical_time
from machinery.api.schema import SchemaNode
from machinery.meta.quantity import FORMAT_ERROR, QuantityError, canonical_quantity

_RANGES = {"int32": 2**31, "int64": 2**63}


class DecodeError(ValueError):
    """A value of the wrong type. The message is what the API answers after ``cannot be handled as a Kind:``."""


class NumberText(float):
    """A number that remembers how it was written; error texts quote it."""

    def __new__(cls, text: str) -> NumberText:
        number = super().__new__(cls, text)
        number.text = text
        return number

    text: str


def decode(obj: dict[str, Any], schema: SchemaNode) -> list[str]:
    """Make ``obj`` what a struct of ``schema`` would hold, in place. Returns the paths of unknown fields, in order of
    appearance, which have been removed. Raises :class:`DecodeError`."""
    decoder = _Decoder()
    decoder.struct(obj, schema, None)
    if decoder.first_error is not None:
        raise DecodeError(decoder.first_error)
    return decoder.unknown


def prune_unknown(obj: dict[str, Any], schema: SchemaNode) -> list[str]:
    """Remove what the schema does not know, at any depth, and return the paths; types are not looked at."""
    removed: list[str] = []
    _prune(obj, schema, "", removed)
    return removed


def check_fields(obj: dict[str, Any], schema: SchemaNode) -> list[str]:
    """Paths of unknown fields of an object that stays as it is."""
    unknown: list[str] = []
    _prune(obj, schema, "", unknown, remove=False)
    return unknown


def strict_error(unknown: list[str], duplicates: list[str] | None = None) -> str:
    """The text of a strict decoding error."""
    return "strict decoding error: " + ", ".join(strict_problems(unknown, duplicates))


def strict_problems(unknown: list[str], duplicates: list[str] | None = None) -> list[str]:
    """One text a problem, as they stand in warnings."""
    return [*(duplicates or ()), *(f'unknown field "{path}"' for path in unknown)]


#: Where a value is: the place of its owner, the struct that holds it ("" for items and map values), its key or index.
Place = tuple[Any, str, "str | int"]


class _Decoder:
    """One walk over an object. Places are linked pairs, so that the words of a path are made only when it is told."""

    def __init__(self) -> None:
        self.unknown: list[str] = []
        self.first_error: str | None = None

    def struct(self, obj: dict[str, Any], node: SchemaNode, place: Place | None) -> None:
        properties = node.properties
        if properties is None:
            return
        for key in list(obj):
            child = properties.get(key)
            if child is None:
                if not node.preserve_unknown:
                    self.unknown.append(_path((place, node.name, key)))
                    del obj[key]
                continue
            value = obj[key]
            if value is None:
                del obj[key]
            elif child.type != "string" or child.format or type(value) is not str:
                obj[key] = self.value(value, child, (place, node.name, key))

    def value(self, value: Any, node: SchemaNode, place: Place) -> Any:
        match node.type:
            case "object":
                return self.object(value, node, place)
            case "array":
                return self.array(value, node, place)
            case "string":
                return self.string(value, node, place)
            case "integer":
                return self.integer(value, node, place)
            case "number":
                if isinstance(value, bool) or not isinstance(value, int | float):
                    self.mismatch(value, node, place)
            case "boolean":
                if not isinstance(value, bool):
                    self.mismatch(value, node, place)
            case "quantity":
                return self.quantity(value)
            case "int-or-string":
                in_range = isinstance(value, int) and not isinstance(value, bool) and -(2**31) <= value < 2**31
                if not in_range and not isinstance(value, str):
                    raise DecodeError(_mismatch_text(value, node, place))
        return value

    def object(self, value: Any, node: SchemaNode, place: Place) -> Any:
        if not isinstance(value, dict):
            self.mismatch(value, node, place)
            return {}
        if node.properties is not None:
            self.struct(value, node, place)
            return value
        inner = node.additional_properties
        if inner is None:
            return value
        plain = inner.type == "string" and not inner.format
        for key, one in value.items():
            if one is None:
                value[key] = zero_of(inner)
            elif not plain or type(one) is not str:
                value[key] = self.value(one, inner, (place, "", key))
        return value

    def array(self, value: Any, node: SchemaNode, place: Place) -> Any:
        if not isinstance(value, list):
            self.mismatch(value, node, place)
            return []
        inner = node.items
        if inner is None:
            return value
        plain = inner.type == "string" and not inner.format
        for index, one in enumerate(value):
            if one is None:
                value[index] = zero_of(inner)
            elif not plain or type(one) is not str:
                value[index] = self.value(one, inner, (place, "", index))
        return value

    def string(self, value: Any, node: SchemaNode, place: Place) -> Any:
        if node.format in ("date-time", "micro-time"):
            if not isinstance(value, str):
                raise DecodeError(_unmarshal(value, "string", place))
            try:
                return canonical_time(value) if node.format == "date-time" else canonical_micro_time(value)
            except InstantError as error:
                raise DecodeError(str(error)) from None
        if not isinstance(value, str):
            self.mismatch(value, node, place)
        elif node.format == "byte":
            return self.bytes(value)
        return value

    def bytes(self, text: str) -> str:
        compact = text.replace("\n", "").replace("\r", "")
        try:
            base64.b64decode(compact, validate=True)
        except binascii.Error:
            self.remember(f"illegal base64 data at input byte {_first_bad_byte(text)}")
        return compact

    def integer(self, value: Any, node: SchemaNode, place: Place) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            limit = _RANGES.get(node.format, 2**63)
            if -limit <= value < limit:
                return value
        self.mismatch(value, node, place)
        return 0

    @staticmethod
    def quantity(value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise DecodeError(FORMAT_ERROR)
        text = value.text if isinstance(value, NumberText) else value
        try:
            return canonical_quantity(text.strip() if isinstance(text, str) else text)
        except QuantityError as error:
            raise DecodeError(str(error)) from None

    def mismatch(self, value: Any, node: SchemaNode, place: Place) -> None:
        self.remember(_mismatch_text(value, node, place))

    def remember(self, text: str) -> None:
        if self.first_error is None:
            self.first_error = text


def _steps(place: Place | None) -> list[tuple[str, str | int]]:
    """From the root: (struct or "", key or index)."""
    found: list[tuple[str, str | int]] = []
    while place is not None:
        place, struct, key = place
        found.append((struct, key))
    return found[::-1]


def _path(place: Place) -> str:
    """``spec.containers[0].image``."""
    words = [f"[{key}]" if isinstance(key, int) else f".{key}" for _, key in _steps(place)]
    return "".join(words).removeprefix(".")


def _mismatch_text(value: Any, node: SchemaNode, place: Place) -> str:
    struct, field, element = _field_of(place)
    numeric = node.type in ("integer", "int-or-string")
    return _unmarshal(value, go_type(node, struct, field, element=element), place, literal=numeric)


def _field_of(place: Place) -> tuple[str, str, bool]:
    """The struct and field that hold the value, and whether it is only an item of what the field holds."""
    struct, field, element = "", "", True
    for owner, key in _steps(place):
        if owner:
            struct, field, element = owner, str(key), False
        else:
            element = True
    return struct, field, element


def _unmarshal(value: Any, type_: str, place: Place, *, literal: bool = False) -> str:
    """Upstream's sentence: the path has the names of embedded structs but neither indexes nor keys of maps."""
    names: list[str] = []
    for struct, key in _steps(place):
        if struct:
            names += [*embedding(struct, str(key)), str(key)]
    field = f"{_field_of(place)[0]}.{'.'.join(names)}"
    return f"json: cannot unmarshal {_describe(value, literal)} into Go struct field {field} of type {type_}"


def _describe(value: Any, literal: bool) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        if not literal:
            return "number"
        return f"number {value.text if isinstance(value, NumberText) else value}"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def _first_bad_byte(text: str) -> int:
    """Offset at which a base64 reader gives up: the first foreign byte, or the end of a truncated group."""
    alphabet = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    in_group = 0
    for offset, char in enumerate(text):
        if char in "\r\n":
            continue
        if char in alphabet:
            in_group = (in_group + 1) % 4
            continue
        if char == "=" and in_group >= 2:
            return _bad_padding(text, offset, in_group)
        return offset
    return len(text) - in_group if in_group == 1 and not text.endswith("\n") else len(text)


def _bad_padding(text: str, offset: int, in_group: int) -> int:
    rest = text[offset + 1 :].lstrip("\r\n")
    if in_group == 2:
        if not rest:
            return len(text)
        if rest[0] != "=":
            return text.index(rest[0], offset + 1)
        rest = rest[1:].lstrip("\r\n")
    return len(text) - len(rest) if rest else len(text)


def zero_of(node: SchemaNode) -> Any:
    """What a null item of a list, or a null value of a map, decodes to."""
    match node.type:
        case "object":
            return {}
        case "array":
            return []
        case "integer" | "number" | "int-or-string":
            return 0
        case "boolean":
            return False
        case "quantity":
            return "0"
        case "string":
            return None if node.format in ("date-time", "micro-time") else ""
    return None


def _prune(value: Any, node: SchemaNode, path: str, found: list[str], *, remove: bool = True) -> None:
    if isinstance(value, dict):
        if node.properties is not None and not node.preserve_unknown:
            for key in [key for key in value if key not in node.properties]:
                found.append(f"{path}.{key}" if path else key)
                if remove:
                    del value[key]
        for key, one in value.items():
            child = node.field(key)
            if child is not None:
                _prune(one, child, f"{path}.{key}" if path else key, found, remove=remove)
    elif isinstance(value, list) and node.items is not None:
        for index, one in enumerate(value):
            _prune(one, node.items, f"{path}[{index}]", found, remove=remove)
