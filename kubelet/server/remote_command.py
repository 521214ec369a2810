"""exec and attach: a WebSocket of Kubernetes' channel protocols on one side, SPDY streams to the runtime on the other.

Channels: 0 stdin, 1 stdout, 2 stderr, 3 error (a Status), 4 resize; in v5 a frame (255, n) closes channel n. SPDY
clients are piped through unchanged, for the runtime speaks that itself.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
import structlog
from aiohttp import web

from kubelet.server.spdy import SpdyConnection, SpdyError, Stream
from machinery.client.upgrade import open_upgrade

log = structlog.get_logger(__name__)

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
STREAM_PROTOCOL = "v4.channel.k8s.io"
#: Best first.
WEBSOCKET_PROTOCOLS = (
    "v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io", "channel.k8s.io", "base64.channel.k8s.io",
)  # fmt: skip
PING_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which streams the client asked for."""

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    tty: bool = False


async def serve_websocket(request: web.Request, runtime_url: str, wanted: Wanted) -> web.WebSocketResponse:
    """Run one exec or attach session to its end."""
    socket = web.WebSocketResponse(protocols=WEBSOCKET_PROTOCOLS, heartbeat=PING_SECONDS, max_msg_size=0)
    await socket.prepare(request)
    session = _Session(socket, socket.ws_protocol or "", wanted)
    try:
        await session.run(runtime_url)
    finally:
        await socket.close()
    return socket


class _Session:
    def __init__(self, socket: web.WebSocketResponse, protocol: str, wanted: Wanted) -> None:
        self._socket, self._wanted = socket, wanted
        self._base64 = "base64" in protocol
        self._v5 = protocol.startswith("v5")
        # Before v4 the error channel carried plain text, and no exit codes.
        self._structured = protocol.startswith(("v4", "v5"))

    async def run(self, runtime_url: str) -> None:
        try:
            upgraded = await open_upgrade(
                runtime_url,
                headers={
                    "Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": STREAM_PROTOCOL,
                    "Content-Length": "0",
                },
            )  # fmt: skip
        except (OSError, TimeoutError) as error:
            await self._fail(f"the container runtime's streaming server does not answer: {error}")
            return
        if upgraded.status != 101:
            body = await upgraded.reader.read(4096)
            upgraded.close()
            await self._fail(body.decode(errors="replace").strip() or upgraded.reason)
            return
        connection = SpdyConnection(upgraded.reader, upgraded.writer)
        reading = asyncio.ensure_future(connection.run())
        try:
            await self._carry(connection)
        except (SpdyError, ConnectionError) as error:
            log.info("stream ended early", error=str(error))
        finally:
            reading.cancel()
            connection.close()
            await asyncio.gather(reading, return_exceptions=True)

    async def _carry(self, connection: SpdyConnection) -> None:
        error = await connection.open_stream({"streamType": "error"})
        streams: dict[int, Stream] = {}
        if self._wanted.stdin:
            streams[STDIN] = await connection.open_stream({"streamType": "stdin"})
        if self._wanted.stdout:
            streams[STDOUT] = await connection.open_stream({"streamType": "stdout"})
        if self._wanted.stderr and not self._wanted.tty:
            streams[STDERR] = await connection.open_stream({"streamType": "stderr"})
        if self._wanted.tty:
            streams[RESIZE] = await connection.open_stream({"streamType": "resize"})
        incoming = asyncio.ensure_future(self._from_client(streams))
        outgoing = [
            asyncio.ensure_future(self._to_client(channel, streams[channel]))
            for channel in (STDOUT, STDERR)
            if channel in streams
        ]
        verdict = asyncio.ensure_future(_read_all(error))
        try:
            finished = asyncio.ensure_future(_all(*outgoing, verdict))
            # A client that leaves ends the session; a container that ends does, too, after its last output.
            await asyncio.wait({incoming, finished}, return_when=asyncio.FIRST_COMPLETED)
            if finished.done():
                await self._send_error(verdict.result())
            finished.cancel()
            await asyncio.gather(finished, return_exceptions=True)
        finally:
            incoming.cancel()
            await asyncio.gather(incoming, return_exceptions=True)

    async def _from_client(self, streams: dict[int, Stream]) -> None:
        async for message in self._socket:
            if message.type == aiohttp.WSMsgType.TEXT and self._base64:
                if not message.data:
                    continue
                channel, data = ord(message.data[0]) - ord("0"), base64.b64decode(message.data[1:])
            elif message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT):
                raw = message.data.encode() if isinstance(message.data, str) else message.data
                if not raw:
                    continue
                channel, data = raw[0], raw[1:]
            else:
                break
            if channel == CLOSE and self._v5 and data:
                if data[0] in streams:
                    await streams[data[0]].close_write()
            elif channel in (STDIN, RESIZE) and channel in streams:
                with contextlib.suppress(ConnectionError):
                    await streams[channel].write(data)

    async def _to_client(self, channel: int, stream: Stream) -> None:
        while data := await stream.read():
            await self._send(channel, data)

    async def _send(self, channel: int, data: bytes) -> None:
        if self._base64:
            await self._socket.send_str(chr(ord("0") + channel) + base64.b64encode(data).decode())
        else:
            await self._socket.send_bytes(bytes([channel]) + data)

    async def _send_error(self, status: bytes) -> None:
        if not self._structured:
            doc = orjson.loads(status) if status else {}
            if doc.get("status") == "Failure":
                await self._send(ERROR, str(doc.get("message", "")).encode())
            return
        success = b'{"metadata":{},"status":"Success"}'
        await self._send(ERROR, status or success)

    async def _fail(self, message: str) -> None:
        doc = {
            "metadata": {}, "status": "Failure", "message": message, "reason": "InternalError", "code": 500,
            "details": {"causes": [{"message": message}]},
        }  # fmt: skip
        await self._send_error(orjson.dumps(doc))


async def _all(*tasks: asyncio.Future[Any]) -> None:
    await asyncio.gather(*tasks)


async def _read_all(stream: Stream) -> bytes:
    parts = []
    while data := await stream.read():
        parts.append(data)
    return b"".join(parts)
