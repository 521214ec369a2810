"""SPDY/3.1 as far as container streaming needs it: the client's side of streams with headers, data and half-close.

containerd's streaming server speaks SPDY in full and WebSocket only in an old form that cannot close standard input; so
whatever clients speak to us, we speak SPDY to the runtime. The framing is that of the SPDY draft 3; header blocks are
compressed with the draft's dictionary, in one zlib stream a direction.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import zlib
from collections.abc import Mapping

_WORDS = (  # noqa: SIM905 (seventy words in a list are seventy lines)
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status"
).split()
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden"
    "404 Not Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug "
    "Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,"
    "application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdch"
    "charset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
#: The dictionary of the draft: 1,423 bytes with the Adler checksum e3c6a7c2 that every SPDY/3 header block names.
DICTIONARY = (
    b"".join(
        struct.pack("!I", len(word)) + word.encode()
        for word in [*_WORDS, "200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin"]
    )
    + _TAIL.encode()
)

VERSION = 3
SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
FLAG_FIN = 0x01
#: Data frames we send; small enough that one stream does not block another.
MAX_DATA_BYTES = 32 * 1024


class SpdyError(Exception):
    """The peer broke the protocol or reset what we asked for."""


class Stream:
    """One stream: ``read`` until b"", ``write``, ``close_write``."""

    def __init__(self, connection: SpdyConnection, number: int) -> None:
        self._connection = connection
        self.number = number
        self.reader = asyncio.StreamReader(limit=1024 * 1024)
        self.replied: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.reset = False

    async def read(self, size: int = 64 * 1024) -> bytes:
        return await self.reader.read(size)

    async def write(self, data: bytes) -> None:
        for start in range(0, len(data), MAX_DATA_BYTES):
            await self._connection.send_data(self.number, data[start : start + MAX_DATA_BYTES], fin=False)

    async def close_write(self) -> None:
        await self._connection.send_data(self.number, b"", fin=True)


class SpdyConnection:
    """The client's side of one connection; odd stream numbers are ours. ``run`` reads frames until the end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._compressor = zlib.compressobj(level=9, zdict=DICTIONARY)
        self._decompressor = zlib.decompressobj(zdict=DICTIONARY)
        self._streams: dict[int, Stream] = {}
        self._next = 1

    async def open_stream(self, headers: Mapping[str, str], *, fin: bool = False) -> Stream:
        """A new stream, once the peer has replied to it (``run`` must be running)."""
        stream = Stream(self, self._next)
        self._next += 2
        self._streams[stream.number] = stream
        block = self._pack_headers(headers)
        payload = struct.pack("!IIBB", stream.number, 0, 0, 0) + block
        await self._send_control(SYN_STREAM, FLAG_FIN if fin else 0, payload)
        await stream.replied
        return stream

    async def send_data(self, number: int, data: bytes, *, fin: bool) -> None:
        if self._writer.is_closing():
            raise ConnectionResetError("the stream's connection is closed")
        head = struct.pack("!II", number & 0x7FFFFFFF, (FLAG_FIN if fin else 0) << 24 | len(data))
        self._writer.write(head + data)
        await self._writer.drain()

    async def run(self) -> None:
        """Read frames until the connection ends; then every stream ends."""
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    await self._read_frame()
        finally:
            for stream in self._streams.values():
                if not stream.reader.at_eof():
                    stream.reader.feed_eof()
                if not stream.replied.done():
                    stream.replied.set_exception(SpdyError("the connection ended before the stream was accepted"))
                    stream.replied.exception()

    def close(self) -> None:
        self._writer.close()

    async def _read_frame(self) -> None:
        first, second = struct.unpack("!II", await self._reader.readexactly(8))
        flags, length = second >> 24, second & 0xFFFFFF
        payload = await self._reader.readexactly(length)
        if not first & 0x80000000:
            await self._on_data(first & 0x7FFFFFFF, flags, payload)
            return
        kind = first & 0xFFFF
        if kind == SYN_REPLY:
            self._inflate(payload[4:])
            self._on_reply(struct.unpack("!I", payload[:4])[0], flags)
        elif kind == RST_STREAM:
            self._on_reset(struct.unpack("!I", payload[:4])[0])
        elif kind == PING:
            if struct.unpack("!I", payload[:4])[0] % 2 == 0:
                await self._send_control(PING, 0, payload)
        elif kind in (SYN_STREAM, HEADERS):
            # Header blocks share one decompressor: every one must pass through it, wanted or not.
            self._inflate(payload[10:] if kind == SYN_STREAM else payload[4:])

    async def _on_data(self, number: int, flags: int, payload: bytes) -> None:
        stream = self._streams.get(number)
        if stream is None:
            return
        if payload:
            stream.reader.feed_data(payload)
            await self._send_control(WINDOW_UPDATE, 0, struct.pack("!II", number, len(payload)))
        if flags & FLAG_FIN:
            stream.reader.feed_eof()

    def _on_reply(self, number: int, flags: int) -> None:
        stream = self._streams.get(number)
        if stream is None:
            return
        if not stream.replied.done():
            stream.replied.set_result(None)
        if flags & FLAG_FIN:
            stream.reader.feed_eof()

    def _on_reset(self, number: int) -> None:
        stream = self._streams.get(number)
        if stream is None:
            return
        stream.reset = True
        if not stream.replied.done():
            stream.replied.set_exception(SpdyError("the stream was refused"))
        if not stream.reader.at_eof():
            stream.reader.feed_eof()

    async def _send_control(self, kind: int, flags: int, payload: bytes) -> None:
        head = struct.pack("!HHI", 0x8000 | VERSION, kind, flags << 24 | len(payload))
        self._writer.write(head + payload)
        await self._writer.drain()

    def _pack_headers(self, headers: Mapping[str, str]) -> bytes:
        plain = struct.pack("!I", len(headers))
        for key, value in headers.items():
            name, text = key.lower().encode(), value.encode()
            plain += struct.pack("!I", len(name)) + name + struct.pack("!I", len(text)) + text
        return self._compressor.compress(plain) + self._compressor.flush(zlib.Z_SYNC_FLUSH)

    def _inflate(self, block: bytes) -> dict[str, str]:
        return parse_headers(self._decompressor.decompress(block))


def parse_headers(plain: bytes) -> dict[str, str]:
    """Headers of an inflated block."""
    if len(plain) < 4:
        return {}
    (count,), offset, out = struct.unpack("!I", plain[:4]), 4, {}
    for _ in range(count):
        pair = []
        for _ in range(2):
            (length,) = struct.unpack_from("!I", plain, offset)
            pair.append(plain[offset + 4 : offset + 4 + length].decode())
            offset += 4 + length
        out[pair[0]] = pair[1]
    return out
