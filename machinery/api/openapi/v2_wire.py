"""The v2 document as protobuf, the only form in which kubectl's validation falls back on v2.

The messages are those of gnostic's OpenAPIv2: objects become lists of (name, value), alternatives become messages with
one field set, and everything that starts with ``x-`` becomes YAML text. Only the fields that our documents use are
listed, as number and encoder; in our own part of the document a field without an entry is a mistake and raises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from machinery.api.openapi.v2 import openapi_v2
from machinery.api.openapi.v3 import Schemas
from machinery.api.table import KindTable

Encoder = Callable[[Any], bytes]
#: JSON name -> (field number, how one value is encoded, whether a list is one field an item).
Fields = Mapping[str, tuple[int, Encoder, bool]]


def v2_protobuf(table: KindTable, schemas: Schemas | None = None) -> bytes:
    """``/openapi/v2`` as protobuf."""
    return _message(_DOCUMENT, 16)(openapi_v2(table, schemas))


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _delimited(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _text(value: str) -> bytes:
    return value.encode()


def _wrapped(number: int, encoder: Encoder) -> Encoder:
    """A message whose only field holds the value: one of several alternatives."""
    return lambda value: _delimited(number, encoder(value))


def _any(value: Any) -> bytes:
    return _delimited(2, orjson.dumps(value) + b"\n")  # JSON is YAML


def _named(name: str, payload: bytes) -> bytes:
    return _delimited(1, name.encode()) + _delimited(2, payload)


def _names(number: int, encoder: Encoder) -> Encoder:
    """An object as a list of names and values."""
    return lambda values: b"".join(
        _delimited(number, _named(name, encoder(value))) for name, value in values.items()
    )


def _message(fields: Fields, extensions: int) -> Encoder:
    """A message; what starts with ``x-`` goes to the field of extensions."""

    def encode(value: Mapping[str, Any]) -> bytes:
        parts: list[tuple[int, bytes]] = []
        for name, item in value.items():
            if name.startswith("x-"):
                parts.append((extensions, _delimited(extensions, _named(name, _any(item)))))
                continue
            number, encoder, repeated = fields[name]
            if isinstance(item, bool) and encoder is _flag:
                parts.append((number, _varint(number << 3) + _flag(item)))
            elif isinstance(item, int) and encoder is _integer:
                parts.append((number, _varint(number << 3) + _integer(item)))
            elif repeated:
                parts += [(number, _delimited(number, encoder(one))) for one in item]
            else:
                parts.append((number, _delimited(number, encoder(item))))
        return b"".join(part for _, part in sorted(parts, key=lambda part: part[0]))

    return encode


def _flag(value: bool) -> bytes:
    return b"\x01" if value else b"\x00"


def _integer(value: int) -> bytes:
    return _varint(value & (1 << 64) - 1)


def _schema(value: Mapping[str, Any]) -> bytes:
    """Custom schemas have words that v2 cannot say or that are not listed; its readers do without them."""
    known = {name: one for name, one in value.items() if name in _SCHEMA or name.startswith("x-")}
    return _message(_SCHEMA, 31)(known)


def _additional(value: Any) -> bytes:
    return b"\x10" + _flag(value) if isinstance(value, bool) else _delimited(1, _schema(value))


def _types(value: str | list[str]) -> bytes:
    return b"".join(_delimited(1, word.encode()) for word in ([value] if isinstance(value, str) else value))


_SCHEMA: Fields = {
    "$ref": (1, _text, False), "format": (2, _text, False), "title": (3, _text, False),
    "description": (4, _text, False), "default": (5, _any, False), "maxLength": (11, _integer, False),
    "minLength": (12, _integer, False), "pattern": (13, _text, False), "maxItems": (14, _integer, False),
    "minItems": (15, _integer, False), "uniqueItems": (16, _flag, False), "maxProperties": (17, _integer, False),
    "minProperties": (18, _integer, False), "required": (19, _text, True), "enum": (20, _any, True),
    "additionalProperties": (21, _additional, False), "type": (22, _types, False),
    "items": (23, _wrapped(1, _schema), False), "allOf": (24, _schema, True),
    "properties": (25, _names(1, _schema), False), "example": (30, _any, False),
}  # fmt: skip

_QUERY: Fields = {
    "required": (1, _flag, False), "in": (2, _text, False), "description": (3, _text, False),
    "name": (4, _text, False), "type": (6, _text, False), "uniqueItems": (20, _flag, False),
}  # fmt: skip
_PATH: Fields = {
    "required": (1, _flag, False), "in": (2, _text, False), "description": (3, _text, False),
    "name": (4, _text, False), "type": (5, _text, False), "uniqueItems": (19, _flag, False),
}  # fmt: skip
_BODY: Fields = {
    "description": (1, _text, False), "name": (2, _text, False), "in": (3, _text, False),
    "required": (4, _flag, False), "schema": (5, _schema, False),
}  # fmt: skip


def _parameter(value: Mapping[str, Any]) -> bytes:
    if value["in"] == "body":
        return _delimited(1, _delimited(1, _message(_BODY, 6)(value)))
    if value["in"] == "query":
        return _delimited(1, _delimited(2, _delimited(3, _message(_QUERY, 23)(value))))
    return _delimited(1, _delimited(2, _delimited(4, _message(_PATH, 22)(value))))


_RESPONSE: Fields = {"description": (1, _text, False), "schema": (2, _wrapped(1, _schema), False)}
_OPERATION: Fields = {
    "description": (3, _text, False), "operationId": (5, _text, False), "produces": (6, _text, True),
    "consumes": (7, _text, True), "parameters": (8, _parameter, True),
    "responses": (9, _names(1, _wrapped(1, _message(_RESPONSE, 5))), False), "schemes": (10, _text, True),
}  # fmt: skip
_operation = _message(_OPERATION, 13)
_PATH_ITEM: Fields = {
    "get": (2, _operation, False), "put": (3, _operation, False), "post": (4, _operation, False),
    "delete": (5, _operation, False), "patch": (8, _operation, False), "parameters": (9, _parameter, True),
}  # fmt: skip
_INFO: Fields = {"title": (1, _text, False), "version": (2, _text, False)}
_DOCUMENT: Fields = {
    "swagger": (1, _text, False), "info": (2, _message(_INFO, 7), False),
    "paths": (8, _names(2, _message(_PATH_ITEM, 10)), False), "definitions": (9, _names(1, _schema), False),
}  # fmt: skip
