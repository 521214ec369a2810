"""SPDY framing against a peer that is written here from the draft, byte by byte."""

import asyncio
import struct
import zlib

import pytest

from kubelet.server.spdy import DICTIONARY, SpdyConnection, SpdyError, parse_headers


def test_the_dictionary_is_that_of_the_draft():
    assert len(DICTIONARY) == 1423
    assert zlib.adler32(DICTIONARY) == 0xE3C6A7C2


class Peer:
    """The server's side: accepts streams, keeps what arrived, sends what the test says."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.inflate = zlib.decompressobj(zdict=DICTIONARY)
        self.deflate = zlib.compressobj(zdict=DICTIONARY)
        self.headers, self.data, self.finished, self.windows = {}, {}, set(), []

    def control(self, kind, payload, flags=0):
        self.writer.write(struct.pack("!HHI", 0x8003, kind, flags << 24 | len(payload)) + payload)

    def send(self, number, data, fin=False):
        self.writer.write(struct.pack("!II", number, (1 if fin else 0) << 24 | len(data)) + data)

    def reply(self, number):
        block = self.deflate.compress(struct.pack("!I", 0)) + self.deflate.flush(zlib.Z_SYNC_FLUSH)
        self.control(2, struct.pack("!I", number) + block)

    async def frames(self, refuse=False):
        while True:
            first, second = struct.unpack("!II", await self.reader.readexactly(8))
            payload = await self.reader.readexactly(second & 0xFFFFFF)
            if not first & 0x80000000:
                self.data[first] = self.data.get(first, b"") + payload
                if second >> 24 & 1:
                    self.finished.add(first)
            elif first & 0xFFFF == 1:
                number = struct.unpack("!I", payload[:4])[0]
                self.headers[number] = parse_headers(self.inflate.decompress(payload[10:]))
                if refuse:
                    self.control(3, struct.pack("!II", number, 3))
                else:
                    self.reply(number)
            elif first & 0xFFFF == 9:
                self.windows.append(struct.unpack("!II", payload))


@pytest.fixture
async def ends():
    made = asyncio.Future()
    server = await asyncio.start_server(lambda r, w: made.set_result(Peer(r, w)), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    connection, peer = SpdyConnection(reader, writer), await made
    running = asyncio.create_task(connection.run())
    yield connection, peer
    running.cancel()
    connection.close()
    peer.writer.close()
    server.close()


async def until(condition):
    async with asyncio.timeout(3):
        while not condition():
            await asyncio.sleep(0.005)


async def test_streams_carry_headers_data_and_half_close(ends):
    connection, peer = ends
    serving = asyncio.create_task(peer.frames())
    first = await connection.open_stream({"streamType": "error"})
    second = await connection.open_stream({"streamType": "stdin", "port": "80"})
    assert (first.number, second.number) == (1, 3)
    assert peer.headers == {1: {"streamtype": "error"}, 3: {"streamtype": "stdin", "port": "80"}}
    await second.write(b"x" * 100_000)
    await second.close_write()
    await until(lambda: 3 in peer.finished)
    assert peer.data[3] == b"x" * 100_000
    peer.send(1, b"hello")
    peer.send(1, b"", fin=True)
    assert await first.read() == b"hello"
    assert await first.read() == b""
    await until(lambda: (1, 5) in peer.windows)
    serving.cancel()


async def test_a_refused_stream_is_an_error(ends):
    connection, peer = ends
    serving = asyncio.create_task(peer.frames(refuse=True))
    with pytest.raises(SpdyError):
        await connection.open_stream({"streamType": "error"})
    serving.cancel()


async def test_the_end_of_the_connection_ends_every_stream(ends):
    connection, peer = ends
    serving = asyncio.create_task(peer.frames())
    stream = await connection.open_stream({})
    peer.writer.close()
    assert await asyncio.wait_for(stream.read(), 3) == b""
    serving.cancel()
