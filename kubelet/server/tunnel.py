"""Carrying a connection through to the runtime's streaming server: as it is, or SPDY inside a WebSocket.

Port-forward over WebSocket comes in two forms. Today's kubectl sends SPDY frames in binary messages
(``SPDY/3.1+portforward.k8s.io``): the messages' bytes, joined, are what the runtime expects after its own upgrade.
Scripting clients speak the older one with a channel a port, which the runtime knows itself.
"""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp import web

from machinery.client.upgrade import Upgraded, open_upgrade
from machinery.runtime.upgrade import HijackedResponse, hijack, pipe

TUNNEL_PROTOCOLS = ("SPDY/3.1+portforward.k8s.io", "v2.portforward.k8s.io")
_FORWARDED = (
    "x-stream-protocol-version", "connection", "upgrade", "content-length",
    "sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol", "sec-websocket-extensions",
)  # fmt: skip
CHUNK_BYTES = 32 * 1024


def is_websocket(request: web.BaseRequest) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"


def wants_tunnel(request: web.BaseRequest) -> bool:
    """A WebSocket that carries SPDY."""
    offered = request.headers.get("Sec-WebSocket-Protocol", "")
    return is_websocket(request) and any(name.strip() in TUNNEL_PROTOCOLS for name in offered.split(","))


async def pass_through(request: web.Request, runtime_url: str) -> web.StreamResponse:
    """A client that speaks what the runtime speaks, piped through byte by byte."""
    headers: list[tuple[str, str]] = [(k, v) for k, v in request.headers.items() if k.lower() in _FORWARDED]
    if not any(key.lower() == "content-length" for key, _ in headers) and request.method == "POST":
        headers.append(("Content-Length", "0"))
    upgraded = await _open(runtime_url, headers, request.method)
    if upgraded.status != 101:
        body = await upgraded.reader.read(8192)
        upgraded.close()
        return web.Response(status=upgraded.status, body=body, content_type="text/plain")
    raw = await hijack(request, 101, "Switching Protocols", upgraded.headers)
    await pipe(raw, upgraded.reader, upgraded.writer)
    return HijackedResponse()


async def tunnel_websocket(request: web.Request, runtime_url: str) -> web.StreamResponse:
    """SPDY frames in WebSocket messages."""
    upgraded = await _open(
        runtime_url,
        [
            ("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1"),
            ("X-Stream-Protocol-Version", "portforward.k8s.io"), ("Content-Length", "0"),
        ],
        "POST",
    )  # fmt: skip
    if upgraded.status != 101:
        body = await upgraded.reader.read(8192)
        upgraded.close()
        return web.Response(status=502, body=body, content_type="text/plain")
    socket = web.WebSocketResponse(protocols=TUNNEL_PROTOCOLS, max_msg_size=0)
    await socket.prepare(request)

    async def downstream() -> None:
        while data := await upgraded.reader.read(CHUNK_BYTES):
            await socket.send_bytes(data)
        await socket.close()

    down = asyncio.ensure_future(downstream())
    try:
        async for message in socket:
            if message.type != aiohttp.WSMsgType.BINARY:
                break
            upgraded.writer.write(message.data)
            await upgraded.writer.drain()
    except ConnectionError:
        pass
    finally:
        down.cancel()
        await asyncio.gather(down, return_exceptions=True)
        upgraded.close()
    return socket


async def _open(runtime_url: str, headers: list[tuple[str, str]], method: str) -> Upgraded:
    try:
        return await open_upgrade(runtime_url, method=method, headers=headers)
    except (OSError, TimeoutError) as error:
        raise web.HTTPBadGateway(text=f"the container runtime's streaming server does not answer: {error}") from error
