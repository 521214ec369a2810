"""Sockets and TLS: where requests come from.

``ApiProtocol`` is aiohttp's HTTP/1.1 protocol with one addition: an endpoint may take the connection over (exec,
attach, port-forward and other upgrades), and from then on receives the raw bytes. aiohttp does this for WebSocket
only, and SPDY clients are still common.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from machinery.client.sockets import watch_over

MAX_BODY_BYTES = 3 * 1024 * 1024
FIRST_INHERITED_FD = 3
HANDSHAKE_SECONDS = 10.0
KEEPALIVE_SECONDS = 180.0

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class ApiProtocol(RequestHandler):
    """``take_over`` diverts everything the client sends from now on."""

    __slots__ = ("_on_lost", "_raw_sink")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._raw_sink: Callable[[bytes], None] | None = None
        self._on_lost: Callable[[], None] | None = None

    def when_lost(self, callback: Callable[[], None] | None) -> None:
        """Call back when the client goes away: a stream that has nothing to write would never find out."""
        self._on_lost = callback

    def take_over(self, sink: Callable[[bytes], None]) -> asyncio.Transport:
        """Give the raw connection away. ``sink`` gets bytes, and b"" once when the client is gone."""
        transport = self.transport
        if transport is None:
            raise ConnectionResetError("client is gone")
        self._raw_sink = sink
        self._keepalive = False
        early, self._message_tail = self._message_tail, b""
        if early:
            sink(early)
        return transport

    def data_received(self, data: bytes) -> None:
        if self._raw_sink is not None:
            self._raw_sink(data)
        else:
            super().data_received(data)

    def eof_received(self) -> None:
        if self._raw_sink is not None:
            self._raw_sink(b"")
        else:
            super().eof_received()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._raw_sink is not None:
            self._raw_sink(b"")
        if self._on_lost is not None:
            self._on_lost()
        super().connection_lost(exc)


class ApiHttpServer(web.Server):
    """Makes one ApiProtocol a connection."""

    def __init__(self, handler: Handler) -> None:
        super().__init__(
            handler, access_log=None, keepalive_timeout=KEEPALIVE_SECONDS, max_line_size=64 * 1024,
            max_field_size=64 * 1024, auto_decompress=False,
        )  # fmt: skip
        self.request_factory = self._make_sized_request

    def __call__(self) -> RequestHandler:
        return ApiProtocol(self, loop=self._loop, **self._kwargs)

    def _make_sized_request(self, message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        return web.BaseRequest(message, payload, protocol, writer, task, self._loop, client_max_size=MAX_BODY_BYTES)


def server_tls(certificate: Path, key: Path, client_authorities: Sequence[Path]) -> ssl.SSLContext:
    """TLS 1.2+. A client certificate is optional; one that no given authority signed fails the handshake."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    if client_authorities:
        context.verify_mode = ssl.CERT_OPTIONAL
        for authority in client_authorities:
            context.load_verify_locations(authority)
    context.set_alpn_protocols(["http/1.1"])
    return context


def inherited_sockets(environ: dict[str, str] | None = None) -> list[socket.socket]:
    """Listening sockets that a supervisor opened for us (systemd's LISTEN_FDS protocol)."""
    environ = dict(os.environ) if environ is None else environ
    pid = environ.get("LISTEN_PID")
    if pid is not None and pid != str(os.getpid()):
        return []
    count = int(environ.get("LISTEN_FDS") or 0)
    return [socket.socket(fileno=os.dup(FIRST_INHERITED_FD + i)) for i in range(count)]


def open_socket(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind((address, port))
    sock.listen(1024)
    sock.setblocking(False)
    return sock


async def listen(server: ApiHttpServer, sockets: Sequence[socket.socket], tls: ssl.SSLContext) -> list[asyncio.Server]:
    loop = asyncio.get_running_loop()
    for sock in sockets:
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            watch_over(sock)  # a machine that lost power does not say that its watches have ended
    return [
        await loop.create_server(server, sock=sock, ssl=tls, ssl_handshake_timeout=HANDSHAKE_SECONDS, backlog=1024)
        for sock in sockets
    ]


def client_certificate(request: web.BaseRequest) -> bytes | None:
    """The verified certificate of the client, DER, or None."""
    transport = request.transport
    tls = transport.get_extra_info("ssl_object") if transport is not None else None
    return tls.getpeercert(binary_form=True) if tls is not None else None
