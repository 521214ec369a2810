"""The gateway's ports with a real namespace behind them, and its watch against a real API server."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.local.gateway.ports import PortServer
from cli.local.gateway.wanted import HostPort
from cli.local.gateway.watching import follow
from cli.local.inside import Inside
from cli.local.machines import ensure_namespace, remove_namespace
from cli.local.quickclient import QuickClient
from cli.local.quicktls import client_tls
from tests.support.processes import free_port

# Answers with what it got, upper case: at the end of a TCP stream (so that a half-closed one works), at once on UDP.
ECHO = """
import asyncio, sys
port = int(sys.argv[1])
class Udp(asyncio.DatagramProtocol):
    def connection_made(self, transport): self.transport = transport
    def datagram_received(self, data, addr): self.transport.sendto(data.upper(), addr)
async def answer(reader, writer):
    writer.write((await reader.read()).upper())
    await writer.drain()
    writer.close()
async def main():
    server = await asyncio.start_server(answer, "10.9.9.9", port)
    await asyncio.get_running_loop().create_datagram_endpoint(Udp, ("10.9.9.9", port))
    print("ready", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@pytest.fixture
def inside() -> Iterator[tuple[Inside, int]]:
    netns = Path(f"/run/netns/nv-cligate{os.getpid() % 10000}")
    ensure_namespace(netns)
    enter = ["nsenter", f"--net={netns}"]
    subprocess.run([*enter, "ip", "link", "set", "lo", "up"], check=True)
    subprocess.run([*enter, "ip", "address", "add", "10.9.9.9/32", "dev", "lo"], check=True)
    port = free_port()
    process = subprocess.Popen([*enter, sys.executable, "-c", ECHO, str(port)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    yield Inside(str(netns)), port
    process.kill()
    process.wait()
    process.stdout.close()
    remove_namespace(netns)


@pytest.mark.root
async def test_bytes_are_carried_in_and_out_also_after_half_a_close(inside: tuple[Inside, int]) -> None:
    there, port = inside
    # The first node does not answer: a Service of local endpoints is not served by every node.
    server = PortServer(there, lambda: ("10.9.9.8", "10.9.9.9"))
    assert await server.reconcile(frozenset({HostPort("TCP", port)}))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    payload = b"x" * 300_000
    writer.write(payload)
    writer.write_eof()
    assert await reader.read() == payload.upper()
    writer.close()
    assert await server.reconcile(frozenset())
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


@pytest.mark.root
async def test_datagrams_find_their_way_back(inside: tuple[Inside, int]) -> None:
    there, port = inside
    server = PortServer(there, lambda: ("10.9.9.9",))
    assert await server.reconcile(frozenset({HostPort("UDP", port)}))
    loop = asyncio.get_running_loop()
    clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    try:
        for number, client in enumerate(clients):
            client.setblocking(False)
            client.connect(("127.0.0.1", port))
            for word in ("a", "b"):
                client.send(f"{word}{number}".encode())
        for number, client in enumerate(clients):
            got = {await asyncio.wait_for(loop.sock_recv(client, 100), 5) for _ in range(2)}
            assert got == {f"A{number}".encode(), f"B{number}".encode()}
    finally:
        for client in clients:
            client.close()
        await server.reconcile(frozenset())


@pytest.mark.root
async def test_a_port_that_somebody_has_is_said_once_and_tried_again(
    inside: tuple[Inside, int], capsys: pytest.CaptureFixture[str]
) -> None:
    there, _ = inside
    server = PortServer(there, lambda: ("10.9.9.9",))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        wanted = frozenset({HostPort("TCP", taken.getsockname()[1])})
        assert not await server.reconcile(wanted)
        assert not await server.reconcile(wanted)
        assert capsys.readouterr().err.count("is not served: ") == 1
    assert await server.reconcile(wanted)
    await server.reconcile(frozenset())


async def test_nobody_inside_is_a_reset_and_no_hanging() -> None:
    class Nowhere:
        def socket(self, kind: socket.SocketKind) -> socket.socket:
            made = socket.socket(socket.AF_INET, kind)
            made.setblocking(False)
            return made

    port = free_port()
    server = PortServer(Nowhere(), lambda: ())  # type: ignore[arg-type]
    assert await server.reconcile(frozenset({HostPort("TCP", port)}))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await server.reconcile(frozenset())


def wait_states(states: list[set[str]], wanted: set[str]) -> Any:
    async def wait() -> None:
        while not states or states[-1] != wanted:
            await asyncio.sleep(0.02)

    return asyncio.wait_for(wait(), 15)


async def test_the_watch_shows_whole_states_and_survives_a_restart_of_the_server(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "apiserver", "--home", str(tmp_path), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    kubeconfig = tmp_path / "kubeconfig" / "admin.kubeconfig"
    states: list[set[str]] = []
    following: asyncio.Task[None] | None = None
    try:
        while not kubeconfig.exists():
            await asyncio.sleep(0.05)
        client = QuickClient(kubeconfig)
        await asyncio.to_thread(client.wait_ready, asyncio.get_running_loop().time() + 20)
        config = yaml.safe_load(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        tls = client_tls(cluster, config["users"][0]["user"])

        def on_change(objects: list[dict[str, Any]]) -> None:
            states.append({obj["metadata"]["name"] for obj in objects})

        path = "/api/v1/namespaces/default/configmaps"
        following = asyncio.create_task(follow(cluster["server"], tls, path, on_change))
        await wait_states(states, set())
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}}
        await asyncio.to_thread(client.request, "POST", path, body)
        await wait_states(states, {"one"})
        process.kill()
        process.wait()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        client.close()
        await asyncio.to_thread(client.wait_ready, asyncio.get_running_loop().time() + 20)
        await asyncio.to_thread(client.request, "DELETE", f"{path}/one")
        await wait_states(states, set())
        client.close()
    finally:
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        process.kill()
        process.wait()
