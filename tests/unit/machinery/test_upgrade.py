"""Connections after an upgrade: nothing that was said is lost, however the peer leaves."""

import asyncio
import socket
import struct

from machinery.client.upgrade import connect, open_upgrade

SAID = b"x" * 50_000 + b"the last words"


async def test_what_arrived_before_a_reset_is_read():
    """A peer that closes with something unread resets the connection; asyncio's own reader would raise at once."""

    async def serve(reader, writer):
        await reader.readexactly(1)
        writer.write(SAID)
        await writer.drain()
        # Send nothing more and reset, as the kernel does for a close with unread bytes.
        raw = writer.get_extra_info("socket")
        await asyncio.sleep(0.05)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await connect(*server.sockets[0].getsockname(), limit=2**20)
    writer.write(b"?")
    await asyncio.sleep(0.3)
    assert await asyncio.wait_for(reader.read(-1), 3) == SAID
    writer.close()
    server.close()


async def test_the_head_of_an_answer():
    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"POST /exec/token?a=b HTTP/1.1\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\n\r\nhello")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    upgraded = await open_upgrade(f"http://{host}:{port}/exec/token?a=b", headers={"Upgrade": "SPDY/3.1"})
    assert (upgraded.status, upgraded.header("upgrade")) == (101, "SPDY/3.1")
    assert await upgraded.reader.read(-1) == b"hello"
    upgraded.close()
    server.close()
