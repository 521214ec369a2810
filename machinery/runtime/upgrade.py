"""The server's side of an upgrade: take a request's connection out of HTTP and have it as a pair of byte streams."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

CHUNK_BYTES = 64 * 1024
BUFFER_BYTES = 256 * 1024


class RawConnection:
    """The client's bytes after the head of the answer. Made by :func:`hijack`."""

    def __init__(self, request: web.BaseRequest) -> None:
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client has gone")
        self._transport = transport
        self._protocol = cast(Any, request.protocol)
        self.reader = asyncio.StreamReader(limit=BUFFER_BYTES)
        self.reader.set_transport(self._transport)
        # aiohttp types this as its WebSocket reader; it calls nothing but feed_data and feed_eof.
        self._protocol.set_parser(self)

    # What aiohttp calls with the bytes that arrive.

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.reader.feed_data(data)
        return False, b""

    def feed_eof(self) -> None:
        self.reader.feed_eof()

    async def write(self, data: bytes) -> None:
        if self._transport.is_closing():
            raise ConnectionResetError("the client has gone")
        self._transport.write(data)
        await self._protocol._drain_helper()

    def close(self) -> None:
        self._transport.close()


class HijackedResponse(web.StreamResponse):
    """What a handler returns after :func:`hijack`: aiohttp writes nothing more and closes the connection."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        self.force_close()
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None


async def hijack(
    request: web.BaseRequest, status: int, reason: str, headers: Iterable[tuple[str, str]]
) -> RawConnection:
    """Send the head of an answer (usually 101) and take the connection."""
    raw = RawConnection(request)
    lines = "".join(f"{key}: {value}\r\n" for key, value in headers)
    await raw.write(f"HTTP/1.1 {status} {reason}\r\n{lines}\r\n".encode("latin-1"))
    return raw


async def pipe(raw: RawConnection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes both ways until both sides have ended; an end is passed on as a half-close."""

    async def upstream() -> None:
        while data := await raw.reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    async def downstream() -> None:
        while data := await reader.read(CHUNK_BYTES):
            await raw.write(data)

    up = asyncio.ensure_future(upstream())
    down = asyncio.ensure_future(downstream())
    try:
        # The serving side decides: when it has said all, the client needs no more. The other way round its last words
        # are waited for.
        await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        if not down.done():
            await down
    except (ConnectionError, OSError):
        pass
    finally:
        for task in (up, down):
            task.cancel()
        await asyncio.gather(up, down, return_exceptions=True)
        writer.close()
        raw.close()
