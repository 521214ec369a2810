"""Protobuf's few building blocks: varints, tags, length-prefixed bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class WireError(ValueError):
    """The bytes are no message of the type they were read as."""


_SMALL = [bytes((i,)) for i in range(128)]


def varint(value: int) -> bytes:
    if 0 <= value < 128:
        return _SMALL[value]
    value &= 0xFFFF_FFFF_FFFF_FFFF  # negative numbers are sign-extended to 64 bits
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def tag(number: int, kind: int) -> bytes:
    return varint(number << 3 | kind)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        if at >= len(data):
            raise WireError("unexpected EOF")
        byte = data[at]
        at += 1
        result |= (byte & 127) << shift
        if byte < 128:
            return result, at
        shift += 7
        if shift >= 64:
            raise WireError("proto: integer overflow")


def signed(value: int, bits: int = 64) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def fields(data: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """Every field of a message: number, kind of encoding, and the raw value."""
    at, size = 0, len(data)
    while at < size:
        key, at = read_varint(data, at)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise WireError("proto: illegal tag 0")
        if kind == VARINT:
            value, at = read_varint(data, at)
            yield number, kind, value
        elif kind == BYTES:
            length, at = read_varint(data, at)
            if at + length > size:
                raise WireError("unexpected EOF")
            yield number, kind, data[at:at + length]
            at += length
        elif kind in (FIXED64, FIXED32):
            width = 8 if kind == FIXED64 else 4
            if at + width > size:
                raise WireError("unexpected EOF")
            yield number, kind, data[at:at + width]
            at += width
        else:
            raise WireError(f"proto: illegal wireType {kind}")


def double(value: float) -> bytes:
    return struct.pack("<d", value)


def read_double(data: bytes) -> float:
    return float(struct.unpack("<d", data)[0])
