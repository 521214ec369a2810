"""Upgrades passed through: the client's connection and one to the backend become one pipe.

The bytes of exec, attach and port-forward (WebSocket or SPDY) are not looked at. The request is written to the backend
as it came, but for its path, its Host and its credentials; only when the backend has switched protocols do the two
connections belong to each other. Anything else the backend says is an ordinary answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterable
from dataclasses import dataclass

from aiohttp import web

from apiserver.server.listen import ApiProtocol
from apiserver.server.responses import TEXT, Reply
from machinery.client.upgrade import connect
from machinery.meta.errors import ApiError

HEAD_BYTES = 64 * 1024
CHUNK_BYTES = 64 * 1024
HIGH_WATER_BYTES = 1024 * 1024
CONNECT_SECONDS = 10.0
#: Of the client's request, these are not for the backend.
_PRIVATE = frozenset((
    "host", "authorization", "impersonate-user", "impersonate-group", "impersonate-uid", "content-length",
    "transfer-encoding",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Backend:
    """Where to go. ``tls`` None is plain HTTP."""

    host: str
    port: int
    target: str  # path and query
    tls: ssl.SSLContext | None
    #: The name on the server's certificate and in Host, where it is not ``host``.
    server_name: str = ""
    #: What we add to the client's headers.
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def authority(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class TakenOver(web.StreamResponse):
    """What the handler returns when the connection is spent: nothing more is to be written."""

    async def prepare(self, request: web.BaseRequest) -> None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None


def wants_upgrade(request: web.BaseRequest) -> bool:
    return "upgrade" in request.headers.get("Connection", "").lower() and bool(request.headers.get("Upgrade"))


def forwarded_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The client's headers without what concerns only us."""
    kept = []
    for name, value in headers:
        lower = name.lower()
        if lower in _PRIVATE or lower.startswith(("impersonate-extra-", "x-remote-")):
            continue
        if lower == "sec-websocket-protocol":
            offered = [part.strip() for part in value.split(",")]
            value = ", ".join(part for part in offered if not part.startswith("base64url.bearer.authorization.k8s.io."))
        kept.append((name, value))
    return kept


async def pass_upgrade(request: web.BaseRequest, backend: Backend) -> Reply | web.StreamResponse:
    """Connects, asks for the upgrade, and pipes until either side ends."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await connect(
                backend.host, backend.port, limit=HEAD_BYTES, ssl_context=backend.tls,
                server_hostname=backend.server_name or backend.host,
            )  # fmt: skip
    except (OSError, TimeoutError, ssl.SSLError) as error:
        raise dial_error(backend, error) from error
    try:
        writer.write(_request_head(request, backend))
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        if status != 101:
            return await _plain_answer(reader, head, status)
        await _pipe(request, reader, writer, head)
        return TakenOver()
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError) as error:
        raise dial_error(backend, error) from error
    finally:
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await writer.wait_closed()


def dial_error(backend: Backend, error: BaseException) -> ApiError:
    text = f"error dialing backend: dial tcp {backend.authority}: {error}"
    return ApiError(500, "", text, None)


def _request_head(request: web.BaseRequest, backend: Backend) -> bytes:
    lines = [f"{request.method} {backend.target} HTTP/1.1", f"Host: {backend.server_name or backend.authority}"]
    lines += [f"{name}: {value}" for name, value in forwarded_headers(request.headers.items())]
    lines += [f"{name}: {value}" for name, value in backend.headers]
    if request.method == "POST":
        lines.append("Content-Length: 0")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _plain_answer(reader: asyncio.StreamReader, head: bytes, status: int) -> Reply:
    """The backend did not switch; its words are the answer."""
    headers = {}
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    length = headers.get("content-length", "")
    body = b""
    if length.isdigit():
        body = await reader.readexactly(min(int(length), CHUNK_BYTES))
    return Reply(body, headers.get("content-type", TEXT), status)


async def _pipe(
    request: web.BaseRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes
) -> None:
    protocol = request.protocol
    assert isinstance(protocol, ApiProtocol)
    upstream = ClientToBackend(writer)
    client = protocol.take_over(upstream.feed)
    upstream.client = client
    client.write(head)
    copying = asyncio.ensure_future(_copy(reader, client, protocol))
    leaving = asyncio.ensure_future(upstream.ended.wait())
    try:
        await asyncio.wait((copying, leaving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (copying, leaving):
            task.cancel()
        await asyncio.gather(copying, leaving, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, client: asyncio.Transport, protocol: ApiProtocol) -> None:
    while data := await reader.read(CHUNK_BYTES):
        client.write(data)
        await protocol._drain_helper()


class ClientToBackend:
    """Bytes from the client, with the client slowed down when the backend does not keep up."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._draining: asyncio.Task[None] | None = None
        self.client: asyncio.Transport | None = None
        self.ended = asyncio.Event()

    def feed(self, data: bytes) -> None:
        if not data:
            self.ended.set()
            return
        self._writer.write(data)
        if self._draining is None and self._writer.transport.get_write_buffer_size() > HIGH_WATER_BYTES:
            self._draining = asyncio.get_running_loop().create_task(self._drain(), name="upgrade-drain")

    async def _drain(self) -> None:
        assert self.client is not None
        self.client.pause_reading()
        try:
            await self._writer.drain()
        except ConnectionError:
            self.ended.set()
        finally:
            self._draining = None
            if not self.client.is_closing():
                self.client.resume_reading()
