"""Frames of a JSON watch: newline-delimited ``{"type", "object"}``, split by hand because events have no size limit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import aiohttp
import orjson

from machinery.meta.errors import ApiError

INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class WatchEvent(NamedTuple):
    """``type`` is ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    obj: dict[str, Any]


async def watch_lines(content: aiohttp.StreamReader) -> AsyncIterator[WatchEvent]:
    """Events of a stream until it ends; a cut last line is dropped. Raises ApiError for an ERROR event."""
    pieces: list[bytes] = []
    async for chunk in content.iter_any():
        if b"\n" not in chunk:
            pieces.append(chunk)
            continue
        pieces.append(chunk)
        *lines, rest = b"".join(pieces).split(b"\n")
        pieces = [rest] if rest else []
        for line in lines:
            if line:
                yield _event(line)


def _event(line: bytes) -> WatchEvent:
    frame = orjson.loads(line)
    if frame["type"] == "ERROR":
        raise ApiError.from_status(frame["object"])
    return WatchEvent(frame["type"], frame["object"])


def is_initial_events_end(event: WatchEvent) -> bool:
    """The bookmark that says: everything that was there has been sent."""
    annotations = event.obj.get("metadata", {}).get("annotations") or {}
    return event.type == "BOOKMARK" and annotations.get(INITIAL_EVENTS_END) == "true"
