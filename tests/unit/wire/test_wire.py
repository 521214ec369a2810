"""The protobuf form against upstream's recorded bytes, both ways and byte for byte."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from machinery.api.wire import (
    WireError,
    decode_object,
    decode_watch_frames,
    encode_object,
    encode_watch_frame,
    has_wire_form,
)

TRANSCRIPTS = Path(__file__).parents[2] / "golden" / "transcripts"
PAIRS = [json.loads(line) for line in (TRANSCRIPTS / "wire.jsonl").read_text().splitlines()]
OBJECTS = [pytest.param(p["json"], base64.b64decode(p["b64"]), id=p["path"][-60:]) for p in PAIRS if "stream" not in p]
STREAMS = [pytest.param(p["json"], base64.b64decode(p["b64"]), id=p["path"][-60:]) for p in PAIRS if "stream" in p]


def shown(obj: dict[str, Any]) -> dict[str, Any]:
    """Without what defaults add on the way from the wire: the kind of a StatefulSet's claims is not in the bytes."""
    for claim in (obj.get("spec") or {}).get("volumeClaimTemplates") or []:
        for key in ("kind", "apiVersion"):
            claim.pop(key, None)
    return obj


@pytest.mark.parametrize(("obj", "data"), OBJECTS)
def test_encode(obj: dict[str, Any], data: bytes) -> None:
    if b'": ' in data:
        # A document inside the object keeps the blanks of whoever sent it; ours are gone, the meaning is not.
        assert shown(decode_object(encode_object(obj))) == shown(obj)
    else:
        assert encode_object(obj) == data


@pytest.mark.parametrize(("obj", "data"), OBJECTS)
def test_decode(obj: dict[str, Any], data: bytes) -> None:
    assert shown(decode_object(data)) == shown(obj)


@pytest.mark.parametrize(("events", "data"), STREAMS)
def test_streams(events: list[dict[str, Any]], data: bytes) -> None:
    assert [{"type": kind, "object": obj} for kind, obj in decode_watch_frames(data)] == events
    assert b"".join(encode_watch_frame(e["type"], encode_object(e["object"])) for e in events) == data


def test_the_pairs_are_read() -> None:
    assert len(OBJECTS) > 120
    assert len(STREAMS) > 10


@pytest.mark.parametrize("data", [
    b"", b"{}", b"k8s", b"k8s\x00", b"k8s\x00\xff", b"k8s\x00\x12\xff\x01", b"k8s\x00\x0a\x05\x0a\x02v1",
    b"k8s\x00\x0a\x0b\x0a\x02v1\x12\x05Gizmo\x12\x00",
])
def test_broken_envelopes_are_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        decode_object(data)


def test_broken_messages_are_refused() -> None:
    whole = encode_object({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}})
    for cut in range(5, len(whole) - 5):
        try:
            decode_object(whole[:cut])
        except WireError:
            continue
    with pytest.raises(WireError):
        encode_object({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": 5}})


def test_what_has_a_wire_form() -> None:
    assert has_wire_form("v1", "Pod")
    assert has_wire_form("apps/v1", "DeploymentList")
    assert has_wire_form("meta.k8s.io/v1", "PartialObjectMetadata")
    assert has_wire_form("v1", "DeleteOptions")
    assert not has_wire_form("example.com/v1", "Widget")


def test_bodies_that_clients_send() -> None:
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0, "propagationPolicy": "Orphan",
               "preconditions": {"uid": "u"}}
    assert decode_object(encode_object(options)) == options
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "m",
              "reason": "NotFound", "details": {"name": "x", "kind": "pods"}, "code": 404}
    assert decode_object(encode_object(status)) == status
