"""Serve ports on 127.0.0.1 and carry their bytes into the cluster."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cli.local.gateway.wanted import HostPort
from cli.local.inside import Inside

HOST = "127.0.0.1"
CONNECT_SECONDS = 1.0
RETRY_BIND_SECONDS = 5.0
UDP_IDLE_SECONDS = 60.0
PIECE = 1 << 16

Addresses = Callable[[], tuple[str, ...]]


@dataclass
class PortServer:
    """Keeps the set of open ports equal to the wanted one."""

    inside: Inside
    addresses: Addresses
    open: dict[HostPort, Any] = field(default_factory=dict)
    complained: set[HostPort] = field(default_factory=set)

    async def reconcile(self, wanted: frozenset[HostPort]) -> bool:
        """False when a port could not be opened, and trying again makes sense."""
        for port in self.open.keys() - wanted:
            self.open.pop(port).close()
        complete = True
        for port in sorted(wanted - self.open.keys()):
            try:
                self.open[port] = await self._listen(port)
                self.complained.discard(port)
            except OSError as error:
                complete = False
                if port not in self.complained:
                    print(f"{HOST}:{port.number}/{port.protocol} is not served: {error}", file=sys.stderr, flush=True)
                    self.complained.add(port)
        return complete

    async def _listen(self, port: HostPort) -> Any:
        if port.protocol == "TCP":
            return await asyncio.start_server(lambda r, w: self._carry(port, r, w), HOST, port.number)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _UdpPort(self.inside, self.addresses, port.number), (HOST, port.number)
        )
        return transport

    async def _carry(self, port: HostPort, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await self._connect(port.number)
        except OSError:
            # The client sees a reset, as from a port where nobody answers; a plain close looks like an empty answer.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, far_writer))
                both.create_task(_pump(far_reader, writer))
        except* OSError:
            pass
        finally:
            for end in (writer, far_writer):
                end.close()

    async def _connect(self, number: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Every node serves every NodePort, unless it is down or the Service wants local endpoints: then the next."""
        error: OSError = ConnectionRefusedError("no node")
        loop = asyncio.get_running_loop()
        for address in self.addresses():
            try:
                sock = self.inside.socket(socket.SOCK_STREAM)
                try:
                    await asyncio.wait_for(loop.sock_connect(sock, (address, number)), CONNECT_SECONDS)
                except BaseException:
                    sock.close()
                    raise
                return await asyncio.open_connection(sock=sock)
            except OSError as failed:  # TimeoutError is one
                error = failed
        raise error


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction until its end; the other may go on (a client that shuts down its side still wants the answer)."""
    while piece := await reader.read(PIECE):
        writer.write(piece)
        await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()


class _UdpPort(asyncio.DatagramProtocol):
    """A socket inside for each client outside, forgotten when both have been silent."""

    def __init__(self, inside: Inside, addresses: Addresses, number: int) -> None:
        self.inside, self.addresses, self.number = inside, addresses, number
        self.clients: dict[Any, tuple[asyncio.DatagramTransport, asyncio.TimerHandle]] = {}
        self.waiting: dict[Any, list[bytes]] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        for far, timer in self.clients.values():
            timer.cancel()
            far.close()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if addr in self.clients:
            self.clients[addr][0].sendto(data)
            self.touch(addr)
        elif addr in self.waiting:
            self.waiting[addr].append(data)
        else:
            self.waiting[addr] = [data]
            task = asyncio.get_running_loop().create_task(self._open(addr))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _open(self, addr: Any) -> None:
        try:
            sock = self.inside.socket(socket.SOCK_DGRAM)
            sock.connect((next(iter(self.addresses())), self.number))
            far, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: _UdpFar(self, addr), sock=sock)
        except (OSError, StopIteration):
            self.waiting.pop(addr, None)
            return
        self.clients[addr] = (far, asyncio.get_running_loop().call_later(UDP_IDLE_SECONDS, self.forget, addr))
        for data in self.waiting.pop(addr):
            far.sendto(data)

    def touch(self, addr: Any) -> None:
        far, timer = self.clients[addr]
        timer.cancel()
        self.clients[addr] = (far, asyncio.get_running_loop().call_later(UDP_IDLE_SECONDS, self.forget, addr))

    def forget(self, addr: Any) -> None:
        far, timer = self.clients.pop(addr)
        timer.cancel()
        far.close()


class _UdpFar(asyncio.DatagramProtocol):
    def __init__(self, port: _UdpPort, addr: Any) -> None:
        self.port, self.addr = port, addr

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self.addr in self.port.clients:
            self.port.transport.sendto(data, self.addr)
            self.port.touch(self.addr)

    def error_received(self, exc: Exception) -> None:
        if self.addr in self.port.clients:
            self.port.forget(self.addr)
