"""Follow one resource with nothing but asyncio's streams.

One request gives the present state and all changes after it (a watch that begins with the initial events and marks
their end), so there is no list to page through and no revision to carry. When the connection ends, everything is asked
anew; the state of before stays in use until the new one is complete.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

INITIAL_EVENTS_END = "k8s.io/initial-events-end"
WATCH_SECONDS = 300
RETRY_SECONDS = (0.1, 0.3, 1.0, 2.0, 5.0)

Objects = dict[str, dict[str, Any]]
OnChange = Callable[[list[dict[str, Any]]], None]


class WatchEnded(Exception):
    """The stream is over, for any reason: ask again."""


async def follow(server: str, tls: ssl.SSLContext, path: str, on_change: OnChange) -> None:
    """Call ``on_change`` with all objects whenever they have changed; run until cancelled."""
    failures = 0
    while True:
        try:
            async for objects in _states(server, tls, path):
                failures = 0
                on_change(list(objects.values()))
        except (OSError, WatchEnded, ValueError, KeyError, asyncio.IncompleteReadError, TimeoutError):
            pass
        await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
        failures += 1


async def _states(server: str, tls: ssl.SSLContext, path: str) -> AsyncIterator[Objects]:
    objects: Objects = {}
    complete = False
    async for line in _lines(server, tls, path):
        event = json.loads(line)
        item = event["object"]
        if event["type"] == "ERROR":
            raise WatchEnded(item.get("message", "error"))
        key = f"{item['metadata'].get('namespace', '')}/{item['metadata'].get('name', '')}"
        if event["type"] == "BOOKMARK":
            if INITIAL_EVENTS_END not in (item["metadata"].get("annotations") or {}):
                continue
            complete = True
        elif event["type"] == "DELETED":
            objects.pop(key, None)
        else:
            objects[key] = item
        if complete:
            yield objects


async def _lines(server: str, tls: ssl.SSLContext, path: str) -> AsyncIterator[bytes]:
    url = urlsplit(server)
    query = urlencode({
        "watch": "true", "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true", "timeoutSeconds": WATCH_SECONDS,
    })  # fmt: skip
    reader, writer = await asyncio.wait_for(asyncio.open_connection(url.hostname, url.port, ssl=tls), 10)
    try:
        host = f"{url.hostname}:{url.port}"
        writer.write(f"GET {path}?{query} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\n"
                     f"User-Agent: navarch-gateway\r\n\r\n".encode())  # fmt: skip
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise WatchEnded(head.split(b"\r\n", 1)[0].decode(errors="replace"))
        buffer = b""
        while chunk := await asyncio.wait_for(_chunk(reader), WATCH_SECONDS + 60):
            buffer += chunk
            *lines, buffer = buffer.split(b"\n")
            for line in lines:
                if line.strip():
                    yield line
    finally:
        writer.close()


async def _chunk(reader: asyncio.StreamReader) -> bytes:
    size = int((await reader.readline()).split(b";")[0] or b"0", 16)
    data = await reader.readexactly(size)
    await reader.readexactly(2)
    return data
