"""Forward local ports into a pod, a WebSocket a connection (`v4.channel.k8s.io`).

Channel 0 carries the bytes, channel 1 errors; each begins with the port's number, which is left out here. A connection
of its own for every client keeps one that fails from taking the others with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from dataclasses import dataclass
from typing import Any

import aiohttp

from cli.errors import CommandError
from machinery.client import Client, ConnectError
from machinery.meta.errors import ApiError

DATA, ERROR = 0, 1
PROTOCOL = "v4.channel.k8s.io"
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

    async def listen(self, forward: Forward, address: str) -> asyncio.Server:
        async def on_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            print(f"Handling connection for {port}", flush=True)
            try:
                await self._carry(forward.remote, reader, writer)
            except (ApiError, ConnectError, OSError, aiohttp.ClientError) as error:
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
        params = {"ports": str(remote)}
        async with self.client.websocket(self.path, params, protocols=(PROTOCOL,)) as socket:
            sending = asyncio.create_task(_send(reader, socket), name="to the pod")
            try:
                await _receive(socket, writer)
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)


async def _send(reader: asyncio.StreamReader, socket: aiohttp.ClientWebSocketResponse) -> None:
    while piece := await reader.read(PIECE):
        await socket.send_bytes(bytes([DATA]) + piece)


async def _receive(socket: aiohttp.ClientWebSocketResponse, writer: asyncio.StreamWriter) -> None:
    heads: set[int] = set()
    async for message in socket:
        data: Any = message.data
        if message.type is not aiohttp.WSMsgType.BINARY or not data:
            continue
        channel, content = data[0], data[1:]
        if channel not in heads:
            heads.add(channel)
            content = content[2:]  # the port's number
        if channel == ERROR and content:
            raise OSError(content.decode(errors="replace"))
        if channel == DATA and content:
            writer.write(content)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
