"""Objects as protobuf: the envelope, the choice of the message type, and the frames of a watch.

An object on the wire is four magic bytes and an envelope that names its apiVersion and kind around the message
proper, which does not. A watch frame is a length and a bare WatchEvent whose object is enveloped again.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from machinery.api.wire import primitives as p
from machinery.api.wire.messages import Message, has_message, message
from machinery.api.wire.primitives import WireError

__all__ = [
    "CONTENT_TYPE", "STREAM_CONTENT_TYPE", "WireError", "decode_object", "decode_watch_frames", "encode_object",
    "encode_watch_frame", "has_wire_form",
]

CONTENT_TYPE: Final = "application/vnd.kubernetes.protobuf"
STREAM_CONTENT_TYPE: Final = "application/vnd.kubernetes.protobuf;stream=watch"
_MAGIC: Final = b"k8s\x00"
_PACKAGES: Final = {
    "": "core", "meta.k8s.io": "meta", "internal.apiserver.k8s.io": "apiserverinternal",
    "apiextensions.k8s.io": "apiextensions", "apiregistration.k8s.io": "apiregistration",
}
#: Kinds of the common machinery that every group serves.
_COMMON: Final = frozenset((
    "Status", "DeleteOptions", "CreateOptions", "UpdateOptions", "PatchOptions", "GetOptions", "ListOptions",
    "WatchEvent", "PartialObjectMetadata", "PartialObjectMetadataList", "APIGroup", "APIGroupList", "APIResourceList",
    "APIVersions"))


@cache
def _message_name(api_version: str, kind: str) -> str | None:
    group, _, version = api_version.rpartition("/")
    name = f"{_PACKAGES.get(group) or group.split('.')[0]}.{version}.{kind}"
    if has_message(name):
        return name
    if kind in _COMMON and has_message(f"meta.v1.{kind}"):
        return f"meta.v1.{kind}"
    return None


def has_wire_form(api_version: str, kind: str) -> bool:
    """Whether objects of that kind can be protobuf at all: custom ones cannot."""
    return _message_name(api_version, kind) is not None


def _type(api_version: str, kind: str) -> Message:
    name = _message_name(api_version, kind)
    if name is None:
        raise WireError(f'no kind "{kind}" is registered for version "{api_version}"')
    found = message(name)
    assert isinstance(found, Message)
    return found


def _sized(number: int, data: bytes) -> bytes:
    return p.tag(number, p.BYTES) + p.varint(len(data)) + data


def encode_object(obj: dict[str, Any]) -> bytes:
    """An object with apiVersion and kind, list or single, enveloped."""
    api_version, kind = obj["apiVersion"], obj["kind"]
    body = _type(api_version, kind).body(obj)
    type_meta = _sized(1, api_version.encode()) + _sized(2, kind.encode())
    return b"".join((_MAGIC, _sized(1, type_meta), _sized(2, body), b"\x1a\x00\x22\x00"))


def decode_object(data: bytes) -> dict[str, Any]:
    """The object of an envelope, with apiVersion and kind first, as JSON shows it."""
    if not data.startswith(_MAGIC):
        raise WireError("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    api_version = kind = ""
    body = b""
    for number, _, raw in p.fields(data[4:]):
        if number == 1 and isinstance(raw, bytes):
            for inner, _, text in p.fields(raw):
                if isinstance(text, bytes):
                    if inner == 1:
                        api_version = text.decode()
                    elif inner == 2:
                        kind = text.decode()
        elif number == 2 and isinstance(raw, bytes):
            body = raw
    return {"kind": kind, "apiVersion": api_version, **_type(api_version, kind).decode(body)}


def encode_watch_frame(event_type: str, obj: bytes) -> bytes:
    """One event of a watch; `obj` is an object that `encode_object` made."""
    event = _sized(1, event_type.encode()) + _sized(2, _sized(1, obj))
    return len(event).to_bytes(4, "big") + event


def decode_watch_frames(data: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    """The events of a stream's bytes."""
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at:at + 4], "big")
        event_type, raw = "", b""
        for number, _, value in p.fields(data[at + 4:at + 4 + size]):
            if isinstance(value, bytes):
                if number == 1:
                    event_type = value.decode()
                elif number == 2:
                    raw = next((inner for n, _, inner in p.fields(value) if n == 1 and isinstance(inner, bytes)), b"")
        at += 4 + size
        yield event_type, decode_object(raw)
