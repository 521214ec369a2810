"""Forward local ports into a pod: SPDY streams inside one WebSocket, as kubectl does it.

Every local connection is a pair of streams, one for its bytes and one for what went wrong with it, so a connection that
fails takes no other with it. When the tunnel itself ends (the pod was replaced, the server restarted), the next
connection opens a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
from dataclasses import dataclass

import aiohttp

from cli.errors import CommandError
from kubelet.server.spdy import SpdyConnection, SpdyError, Stream
from machinery.client import Client, ConnectError
from machinery.meta.errors import ApiError

PROTOCOL = "SPDY/3.1+portforward.k8s.io"
PIECE = 1 << 15


@dataclass(frozen=True)
class Forward:
    local: int  # 0: any free one
    remote: int


def parse_forwards(words: list[str], resolve: dict[str, int]) -> list[Forward]:
    """`8080:80`, `80`, `:80`, `8080:http`; ``resolve`` knows the pod's named ports. Pure."""
    found = []
    for word in words:
        local, colon, remote = word.partition(":")
        remote = remote if colon else local
        try:
            number = resolve[remote] if remote in resolve else int(remote)
            found.append(Forward(int(local) if local and colon else 0 if colon else number, number))
        except ValueError:
            raise CommandError(f"error: error parsing port {word!r}: use LOCAL:REMOTE, as in 8080:80") from None
        if not 0 < number < 65536:
            raise CommandError(f"error: remote port must be > 0 and < 65536: {word!r}")
    return found


class Forwarder:
    """``path`` is the pod's portforward subresource."""

    def __init__(self, client: Client, path: str) -> None:
        self.client, self.path = client, path
        self._tunnel: _Tunnel | None = None
        self._opening = asyncio.Lock()
        self._requests = itertools.count()

    async def listen(self, forward: Forward, address: str) -> asyncio.Server:
        async def on_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            print(f"Handling connection for {port}", flush=True)
            try:
                await self._carry(forward.remote, reader, writer)
            except (ApiError, ConnectError, OSError, SpdyError, aiohttp.ClientError) as error:
                print(f"error: an error occurred forwarding {port} -> {forward.remote}: {error}", file=sys.stderr)
            finally:
                writer.close()

        try:
            server = await asyncio.start_server(on_client, address, forward.local)
        except OSError as error:
            raise CommandError(f"error: unable to listen on port {forward.local}: {error.strerror}") from error
        port = server.sockets[0].getsockname()[1]
        print(f"Forwarding from {address}:{port} -> {forward.remote}", flush=True)
        return server

    async def _carry(self, remote: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = (await self._current_tunnel()).connection
        headers = {"port": str(remote), "requestid": str(next(self._requests))}
        errors = await connection.open_stream({**headers, "streamtype": "error"}, fin=True)
        data = await connection.open_stream({**headers, "streamtype": "data"})
        sending = asyncio.create_task(_send(reader, data), name="to the pod")
        try:
            await _receive(data, writer)
            if complaint := await errors.read():
                raise OSError(complaint.decode(errors="replace"))
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _current_tunnel(self) -> _Tunnel:
        async with self._opening:
            if self._tunnel is None or self._tunnel.task.done():
                self._tunnel = await _Tunnel.open(self.client, self.path)
            return self._tunnel


class _Tunnel:
    """A WebSocket that looks like a connection to SPDY."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, stack: contextlib.AsyncExitStack) -> None:
        self._socket, self._stack = socket, stack
        self._reader = asyncio.StreamReader()
        self.connection = SpdyConnection(self._reader, _Writer(socket))  # type: ignore[arg-type]
        self.task = asyncio.create_task(self._run(), name="tunnel")

    @classmethod
    async def open(cls, client: Client, path: str) -> _Tunnel:
        stack = contextlib.AsyncExitStack()
        socket = await stack.enter_async_context(client.websocket(path, protocols=(PROTOCOL,)))
        return cls(socket, stack)

    async def _run(self) -> None:
        feeding = asyncio.create_task(self._feed(), name="tunnel input")
        try:
            await self.connection.run()
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
            await self._stack.aclose()

    async def _feed(self) -> None:
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                self._reader.feed_data(message.data)
        self._reader.feed_eof()


class _Writer:
    """What SPDY asks of a stream writer."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._waiting = bytearray()

    def write(self, data: bytes) -> None:
        self._waiting += data

    async def drain(self) -> None:
        if self._waiting:
            data, self._waiting = bytes(self._waiting), bytearray()
            await self._socket.send_bytes(data)

    def close(self) -> None:
        """The WebSocket ends with the tunnel."""

    def is_closing(self) -> bool:
        return self._socket.closed


async def _send(reader: asyncio.StreamReader, stream: Stream) -> None:
    while piece := await reader.read(PIECE):
        await stream.write(piece)
    await stream.close_write()


async def _receive(stream: Stream, writer: asyncio.StreamWriter) -> None:
    while piece := await stream.read():
        writer.write(piece)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
