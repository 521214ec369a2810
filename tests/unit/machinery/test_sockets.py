"""Connections of the client notice silence: the options that make the kernel ask are on the socket that is used."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from machinery.client import Client, ClientConfig, ConnectError
from machinery.client import rest as client_module
from machinery.client.sockets import SILENCE_SECONDS, watch_over, watchful_socket


def options(sock: socket.socket) -> tuple[int, int]:
    tcp = socket.IPPROTO_TCP
    silence = sock.getsockopt(tcp, socket.TCP_KEEPIDLE)
    silence += sock.getsockopt(tcp, socket.TCP_KEEPINTVL) * sock.getsockopt(tcp, socket.TCP_KEEPCNT)
    return silence, sock.getsockopt(tcp, socket.TCP_USER_TIMEOUT)


async def test_the_client_connects_with_watchful_sockets(monkeypatch: pytest.MonkeyPatch):
    made: list[socket.socket] = []

    def recording(address: tuple[Any, ...]) -> socket.socket:
        made.append(watchful_socket(address))
        return made[-1]

    monkeypatch.setattr(client_module, "watchful_socket", recording)
    seen: list[tuple[int, int]] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(options(made[0]))
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with Client(ClientConfig(f"http://127.0.0.1:{port}")) as client:
        with pytest.raises(ConnectError):
            await client.request("GET", "/version")
    server.close()
    assert seen[0] == (SILENCE_SECONDS, SILENCE_SECONDS * 1000)


def test_what_a_listener_has_its_connections_inherit():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        watch_over(listener)
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert options(accepted) == (SILENCE_SECONDS, SILENCE_SECONDS * 1000)
