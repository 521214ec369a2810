"""Types whose JSON form is not that of a struct: times, quantities, numbers-or-names, raw JSON, lists in messages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson

from machinery.api.wire import primitives as p
from machinery.api.wire.primitives import WireError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _sized(body: bytes) -> bytes:
    return p.varint(len(body)) + body


def _field(data: bytes, number: int) -> Any:
    return next((raw for found, _, raw in p.fields(data) if found == number), None)


class _Time:
    """Seconds and nanoseconds since the epoch; no bytes at all for the zero time, which JSON shows as null."""

    empty: Any = None

    def __init__(self, micro: bool) -> None:
        self.micro = micro

    def encode(self, value: Any) -> bytes:
        if value is None:
            return b"\x00"
        try:
            moment = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            raise WireError(f"no time: {value!r}") from None
        delta = moment.astimezone(UTC) - _EPOCH
        nanos = delta.microseconds * 1000 if self.micro else 0
        return _sized(b"\x08" + p.varint(delta.days * 86400 + delta.seconds) + b"\x10" + p.varint(nanos))

    def decode(self, data: bytes) -> Any:
        if not data:
            return None
        seconds, nanos = _field(data, 1) or 0, _field(data, 2) or 0
        moment = datetime.fromtimestamp(p.signed(seconds), UTC)
        text = moment.strftime("%Y-%m-%dT%H:%M:%S").zfill(19)
        return f"{text}.{p.signed(nanos) // 1000:06d}Z" if self.micro else text + "Z"


class _Quantity:
    """The canonical text, in a message of one string."""

    empty: Any = "0"

    def encode(self, value: Any) -> bytes:
        text = str(value).encode()
        return _sized(b"\x0a" + p.varint(len(text)) + text)

    def decode(self, data: bytes) -> Any:
        text = _field(data, 1)
        return text.decode() if text else "0"


class _IntOrString:
    empty: Any = 0

    def encode(self, value: Any) -> bytes:
        if isinstance(value, str):
            text = value.encode()
            return _sized(b"\x08\x01\x10\x00\x1a" + p.varint(len(text)) + text)
        return _sized(b"\x08\x00\x10" + p.varint(int(value)) + b"\x1a\x00")

    def decode(self, data: bytes) -> Any:
        if _field(data, 1):
            text = _field(data, 3)
            return text.decode() if text else ""
        return p.signed(_field(data, 2) or 0, 32)


class _Raw:
    """A JSON document in bytes."""

    empty: Any = None

    def encode(self, value: Any) -> bytes:
        if value is None:
            return b"\x00"
        text = orjson.dumps(value)
        return _sized(b"\x0a" + p.varint(len(text)) + text)

    def decode(self, data: bytes) -> Any:
        text = _field(data, 1)
        if not text:
            return None
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise WireError(f"raw extension is no JSON: {error}") from None


class _Strings:
    """A list of strings that is a message of its own."""

    empty: Any = None

    def encode(self, value: Any) -> bytes:
        items = [text.encode() for text in value or ()]
        return _sized(b"".join(b"\x0a" + p.varint(len(item)) + item for item in items))

    def decode(self, data: bytes) -> Any:
        return [raw.decode() for number, _, raw in p.fields(data) if number == 1 and isinstance(raw, bytes)]


class _Duration:
    """Nanoseconds; JSON writes Go's notation, of which only whole seconds occur."""

    empty: Any = "0s"

    def encode(self, value: Any) -> bytes:
        return _sized(b"\x08" + p.varint(int(str(value).rstrip("s") or 0) * 10**9))

    def decode(self, data: bytes) -> Any:
        return f"{(_field(data, 1) or 0) // 10**9}s"


class _SchemaOr:
    """A schema, or a list of schemas, a boolean, a list of names in its place."""

    empty: Any = None

    def __init__(self, other: str) -> None:
        self.other = other

    def encode(self, value: Any) -> bytes:
        if self.other == "bool":
            # The boolean is always there: true beside a schema, which allows what it describes.
            if isinstance(value, bool):
                return _sized(b"\x08" + (b"\x01" if value else b"\x00"))
            return _sized(b"\x08\x01\x12" + _schema().encode(value))
        if isinstance(value, dict):
            return _sized(b"\x0a" + _schema().encode(value))
        if self.other == "strings":
            texts = [text.encode() for text in value]
            return _sized(b"".join(b"\x12" + p.varint(len(text)) + text for text in texts))
        return _sized(b"".join(b"\x12" + _schema().encode(item) for item in value))

    def decode(self, data: bytes) -> Any:
        if self.other == "bool":
            schema = _field(data, 2)
            return _schema().decode(schema) if schema is not None else bool(_field(data, 1))
        schema = _field(data, 1)
        if schema is not None:
            return _schema().decode(schema)
        items = [raw for number, _, raw in p.fields(data) if number == 2 and isinstance(raw, bytes)]
        return [raw.decode() if self.other == "strings" else _schema().decode(raw) for raw in items]


def _schema() -> Any:
    from machinery.api.wire.messages import message

    return message("apiextensions.v1.JSONSchemaProps")


SPECIAL: dict[str, Any] = {
    "Time": _Time(False), "MicroTime": _Time(True), "Quantity": _Quantity(), "IntOrString": _IntOrString(),
    "RawExtension": _Raw(), "FieldsV1": _Raw(), "JSON": _Raw(), "ExtraValue": _Strings(), "Verbs": _Strings(),
    "AttestationValue": _Strings(), "Duration": _Duration(), "JSONSchemaPropsOrArray": _SchemaOr("list"),
    "JSONSchemaPropsOrBool": _SchemaOr("bool"), "JSONSchemaPropsOrStringArray": _SchemaOr("strings"),
}
