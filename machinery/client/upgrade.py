"""Connections that stop being HTTP: a request with ``Upgrade``, and from then on bytes both ways.

aiohttp speaks WebSocket only; SPDY (kubectl's fallback, containerd's streaming server) and transparent proxying need
the bare connection after the ``101``.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

MAX_HEAD_BYTES = 64 * 1024
CONNECT_TIMEOUT_SECONDS = 10.0


class LosslessReader(asyncio.StreamReader):
    """Gives out everything that arrived before the connection broke, then ends.

    A peer that has said all and closes while something of ours is unread sends a reset. asyncio's reader then raises at
    once and keeps back what is in its buffer: the last words of a command, the end of a copied file.
    """

    def set_exception(self, exc: BaseException) -> None:
        self.feed_eof()


async def connect(
    host: str, port: int, *, limit: int, ssl_context: ssl.SSLContext | None = None, server_hostname: str | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """``asyncio.open_connection`` with a :class:`LosslessReader`."""
    loop = asyncio.get_running_loop()
    reader = LosslessReader(limit=limit, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, _ = await loop.create_connection(
        lambda: protocol, host, port, ssl=ssl_context, server_hostname=server_hostname if ssl_context else None
    )
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


@dataclass(slots=True)
class Upgraded:
    """The answer's head and the open connection. ``status`` is 101 when the protocol has switched."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def header(self, name: str) -> str:
        """The first value of a header, "" when absent."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def close(self) -> None:
        self.writer.close()


async def open_upgrade(
    url: str, *, method: str = "POST", headers: Mapping[str, str] | list[tuple[str, str]] = (),  # type: ignore[assignment]
    ssl_context: ssl.SSLContext | None = None, body: bytes = b"",
) -> Upgraded:
    """Send a request and read the answer's head. Raises OSError when there is no HTTP answer."""
    parts = urlsplit(url)
    secure = parts.scheme in ("https", "wss")
    host, port = parts.hostname or "", parts.port or (443 if secure else 80)
    async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
        reader, writer = await connect(
            host, port, limit=MAX_HEAD_BYTES * 4, ssl_context=ssl_context if secure else None, server_hostname=host
        )
    try:
        target = parts.path or "/"
        if parts.query:
            target += "?" + parts.query
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        if not any(key.lower() == "host" for key, _ in pairs):
            pairs.insert(0, ("Host", parts.netloc))
        head = "".join(f"{key}: {value}\r\n" for key, value in pairs)
        writer.write(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body)
        await writer.drain()
        answer = await reader.readuntil(b"\r\n\r\n")
        return _parse_head(answer, reader, writer)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
        writer.close()
        raise OSError(f"no HTTP answer from {parts.netloc}: {error}") from error
    except BaseException:
        writer.close()
        raise


def _parse_head(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Upgraded:
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    status, _, reason = rest.partition(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError(f"not HTTP: {first[:80]!r}")
    headers = [(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in lines if line)]
    return Upgraded(int(status), reason, headers, reader, writer)
