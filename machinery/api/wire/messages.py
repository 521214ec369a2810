"""Message types, compiled from the table when they are first met.

`fields.json` says for every type which JSON key goes under which number, in which type, and two things that only
the writer knows: whether a field is written when it is empty (a plain value is, a pointer, list or map is not) and
whether an empty one shows in the JSON form. Types that have a form of their own (times, quantities, raw JSON) are
in `special`.
"""

from __future__ import annotations

import base64
from functools import cache
from importlib.resources import files
from typing import Any, Protocol

import orjson

from machinery.api.wire import primitives as p
from machinery.api.wire.primitives import WireError


class Codec(Protocol):
    """One type: values to bytes and back. `empty` is what a value that was not sent is shown as."""

    empty: Any

    def encode(self, value: Any) -> bytes: ...

    def decode(self, data: bytes) -> Any: ...


class Field:
    """One field. `key` is empty for an embedded struct, whose keys are the message's own."""

    __slots__ = ("always", "codec", "form", "key", "number", "shown", "tag")

    def __init__(self, number: int, key: str, kind: str, always: bool, shown: bool) -> None:
        self.number = number
        self.key = key
        self.always = always
        self.shown = shown
        self.form = "one"
        if kind.startswith("*"):
            self.form, kind = "list", kind[1:]
        elif kind.startswith("%"):
            self.form, kind = "map", kind[1:]
        self.codec: Codec = _SCALARS[kind] if kind in _SCALARS else _Lazy(kind)
        wire = _WIRE_KINDS.get(kind, p.BYTES) if self.form != "map" else p.BYTES
        self.tag = p.tag(number, wire)

    def encode_into(self, out: list[bytes], value: Any) -> None:
        codec, tag = self.codec, self.tag
        if self.form == "one":
            out += (tag, codec.encode(value))
        elif self.form == "list":
            for item in value:
                out += (tag, codec.encode(item))
        else:
            # An entry is a message: 1 the key, 2 the value. Sorted keys make equal maps equal bytes.
            mark = b"\x12" if not isinstance(codec, _Scalar) or codec.wire == p.BYTES else b"\x10"
            for name in sorted(value):
                entry = b"\x0a" + _text(name) + mark + codec.encode(value[name])
                out += (tag, p.varint(len(entry)), entry)


class Message:
    """A compiled message type; as a field its bytes carry their length in front."""

    __slots__ = ("by_number", "empty", "fields", "name", "shown")

    def __init__(self, name: str, table: dict[str, list[Any]]) -> None:
        self.name = name
        self.empty: Any = {}
        self.fields = sorted(
            (Field(entry[0], "" if key.startswith("@") else key, entry[1], "w" in entry[2], "s" in entry[2])
             for key, entry in table.items()), key=lambda field: field.number)
        self.by_number = {field.number: field for field in self.fields}
        self.shown = [field for field in self.fields if field.shown]

    def body(self, obj: dict[str, Any]) -> bytes:
        out: list[bytes] = []
        for field in self.fields:
            if not field.key:
                field.encode_into(out, obj)
                continue
            value = obj.get(field.key)
            if value is None:
                if field.always and field.form == "one":
                    field.encode_into(out, field.codec.empty)
            else:
                field.encode_into(out, value)
        return b"".join(out)

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, dict):
            raise WireError(f"{self.name}: expected an object, got {type(value).__name__}")
        body = self.body(value)
        return p.varint(len(body)) + body

    def decode(self, data: bytes) -> dict[str, Any]:
        obj: dict[str, Any] = {}
        for number, kind, raw in p.fields(data):
            field = self.by_number.get(number)
            if field is None:
                continue  # written by a newer release
            if field.form == "map":
                if not isinstance(raw, bytes):
                    raise WireError(f"{self.name}.{field.key}: wrong wireType = {kind}")
                name, value = _entry(field.codec, raw)
                obj.setdefault(field.key, {})[name] = value
                continue
            if isinstance(field.codec, _Scalar) and kind != field.codec.wire:
                raise WireError(f"proto: wrong wireType = {kind} for field {field.key}")
            value = field.codec.decode(raw)  # type: ignore[arg-type]
            if field.form == "list":
                obj.setdefault(field.key, []).append(value)
            elif not field.key:
                obj.update(value)
            elif not field.always or field.shown or value != field.codec.empty:
                obj[field.key] = value
        for field in self.shown:
            if field.key not in obj:
                obj[field.key] = None if field.form != "one" else field.codec.empty
        return obj


class _Lazy:
    """A message type by name, compiled when a value of it is met: types can contain themselves."""

    __slots__ = ("_codec", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._codec: Codec | None = None

    @property
    def codec(self) -> Codec:
        if self._codec is None:
            self._codec = message(self.name)
        return self._codec

    @property
    def empty(self) -> Any:
        return self.codec.empty

    @empty.setter
    def empty(self, value: Any) -> None:
        raise AttributeError("empty")

    def encode(self, value: Any) -> bytes:
        return self.codec.encode(value)

    def decode(self, data: bytes) -> Any:
        return self.codec.decode(data)


class _Scalar:
    __slots__ = ("empty", "wire")

    def __init__(self, empty: Any, wire: int) -> None:
        self.empty = empty
        self.wire = wire

    def encode(self, value: Any) -> bytes:
        raise NotImplementedError

    def decode(self, data: Any) -> Any:
        raise NotImplementedError


class _String(_Scalar):
    __slots__ = ()

    def encode(self, value: Any) -> bytes:
        return _text(value)

    def decode(self, data: Any) -> Any:
        return data.decode("utf-8", "replace")


class _Bytes(_Scalar):
    """Bytes are base64 text in JSON."""

    __slots__ = ()

    def encode(self, value: Any) -> bytes:
        raw = base64.b64decode(value) if value else b""
        return p.varint(len(raw)) + raw

    def decode(self, data: Any) -> Any:
        return base64.b64encode(data).decode()


class _Integer(_Scalar):
    __slots__ = ("bits",)

    def __init__(self, bits: int) -> None:
        super().__init__(0, p.VARINT)
        self.bits = bits

    def encode(self, value: Any) -> bytes:
        return p.varint(int(value))

    def decode(self, data: Any) -> Any:
        return p.signed(data, self.bits)


class _Boolean(_Scalar):
    __slots__ = ()

    def encode(self, value: Any) -> bytes:
        return b"\x01" if value else b"\x00"

    def decode(self, data: Any) -> Any:
        return bool(data)


class _Double(_Scalar):
    __slots__ = ()

    def encode(self, value: Any) -> bytes:
        return p.double(value)

    def decode(self, data: Any) -> Any:
        number = p.read_double(data)
        return int(number) if number.is_integer() else number


_SCALARS: dict[str, _Scalar] = {
    "string": _String("", p.BYTES), "bytes": _Bytes("", p.BYTES), "bool": _Boolean(False, p.VARINT),
    "int32": _Integer(32), "int64": _Integer(64), "double": _Double(0, p.FIXED64),
}
_WIRE_KINDS = {"bool": p.VARINT, "int32": p.VARINT, "int64": p.VARINT, "double": p.FIXED64}


def _text(value: Any) -> bytes:
    if not isinstance(value, str):
        raise WireError(f"expected a string, got {type(value).__name__}")
    raw = value.encode("utf-8", "surrogatepass")
    return p.varint(len(raw)) + raw


def _entry(codec: Codec, data: bytes) -> tuple[str, Any]:
    name, value = "", codec.empty
    for number, _, raw in p.fields(data):
        if number == 1 and isinstance(raw, bytes):
            name = raw.decode("utf-8", "replace")
        elif number == 2:
            value = codec.decode(raw)  # type: ignore[arg-type]
    return name, value


@cache
def _table() -> dict[str, dict[str, list[Any]]]:
    table: dict[str, dict[str, list[Any]]] = orjson.loads((files(__package__) / "fields.json").read_bytes())
    return table


def has_message(name: str) -> bool:
    return name in _table()


@cache
def message(name: str) -> Codec:
    """The compiled type of that name (`core.v1.Pod`)."""
    from machinery.api.wire.special import SPECIAL

    special: Codec | None = SPECIAL.get(name.rpartition(".")[2]) if name in _SPECIAL_NAMES else None
    if special is not None:
        return special
    table = _table().get(name)
    if table is None:
        raise WireError(f"no message type {name}")
    return Message(name, table)


_SPECIAL_NAMES = frozenset((
    "meta.v1.Time", "meta.v1.MicroTime", "meta.v1.FieldsV1", "meta.v1.Duration", "meta.v1.Verbs",
    "resource.Quantity", "intstr.IntOrString", "runtime.RawExtension",
    "authentication.v1.ExtraValue", "authorization.v1.ExtraValue", "certificates.v1.ExtraValue",
    "authentication.v1.AttestationValue",
    "apiextensions.v1.JSON", "apiextensions.v1.JSONSchemaPropsOrArray", "apiextensions.v1.JSONSchemaPropsOrBool",
    "apiextensions.v1.JSONSchemaPropsOrStringArray",
))
