"""Requests that leave the server: handed to the agent of a pod's node, bytes untouched."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from tests.component.apiserver.conftest import Plane

POD = "/api/v1/namespaces/default/pods/p"


class Agent:
    """A node's agent as far as bytes go: answers upgrades with an echo, everything else with what it was asked."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.refuse = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        if "upgrade:" in head.lower() and not self.refuse:
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n")
            while data := await reader.read(65536):
                writer.write(data.upper())
        elif self.refuse:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nno!\n")
        else:
            body = head.split(" ")[1].encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body))
        writer.close()


@pytest_asyncio.fixture
async def agent(plane: Plane) -> AsyncIterator[Agent]:
    made = Agent()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    pki = plane.options.home / "pki"
    tls.load_cert_chain(pki / "apiserver.crt", pki / "apiserver.key")
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(pki / "ca.crt")
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    await plane.make("/api/v1/nodes", {"metadata": {"name": "n1"}})
    node_status = {"status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                              "daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}}  # fmt: skip
    merge = {"Content-Type": "application/merge-patch+json"}
    status, doc, _ = await plane.call("PATCH", "/api/v1/nodes/n1/status", node_status, headers=merge)
    assert status == 200, doc
    await plane.make("/api/v1/namespaces/default/pods", {
        "metadata": {"name": "p"}, "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]},
    })  # fmt: skip
    yield made
    server.close()


async def upgrade(plane: Plane, method: str, path: str, headers: dict[str, str], token: str = "admin") -> Any:
    host, port = plane.url.removeprefix("https://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=plane.tls)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"Authorization: Bearer {token}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    return reader, writer, head.decode()


SPDY = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": "v4.channel.k8s.io",
        "Content-Length": "0"}  # fmt: skip
WEBSOCKET = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
             "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "v5.channel.k8s.io"}  # fmt: skip


async def test_exec_becomes_a_pipe(plane: Plane, agent: Agent) -> None:
    for method, headers in (("POST", SPDY), ("GET", WEBSOCKET)):
        path = f"{POD}/exec?command=ls&command=-l&stdin=true&stdout=1&tty=false"
        reader, writer, head = await upgrade(plane, method, path, headers)
        assert head.startswith("HTTP/1.1 101")
        writer.write(b"abc" * 100_000)
        echoed = await asyncio.wait_for(reader.readexactly(300_000), 10)
        assert echoed == b"ABC" * 100_000
        writer.close()
        asked = agent.heads[-1]
        assert asked.split("\r\n")[0] == f"{method} /exec/default/p/c?input=1&output=1&command=ls&command=-l HTTP/1.1"
        assert "authorization" not in asked.lower()


async def test_a_refusal_of_the_agent_is_an_ordinary_answer(plane: Plane, agent: Agent) -> None:
    agent.refuse = True
    reader, writer, head = await upgrade(plane, "POST", f"{POD}/portforward?ports=80", SPDY)
    assert head.startswith("HTTP/1.1 403")
    assert await reader.readexactly(4) == b"no!\n"
    writer.close()


async def test_logs_are_streamed_from_the_agent(plane: Plane, agent: Agent) -> None:
    status, body, _ = await plane.call("GET", f"{POD}/log?tailLines=5&follow=true")
    assert (status, body) == (200, b"/containerLogs/default/p/c?follow=true&tailLines=5")


async def test_a_node_that_does_not_answer(plane: Plane, agent: Agent) -> None:
    merge = {"Content-Type": "application/merge-patch+json"}
    gone = {"status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": 1}}}}
    await plane.call("PATCH", "/api/v1/nodes/n1/status", gone, headers=merge)
    status, doc, _ = await plane.call("GET", f"{POD}/log")
    assert status == 500
    assert doc["message"].startswith("error dialing backend: dial tcp 127.0.0.1:1:")


async def test_exec_by_get_needs_the_right_to_create(plane: Plane, agent: Agent) -> None:
    rules = [{"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get"]}]
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
    await plane.make(f"{rbac}/roles", {"metadata": {"name": "r"}, "rules": rules})
    await plane.make(f"{rbac}/rolebindings", {
        "metadata": {"name": "r"}, "subjects": [{"kind": "User", "name": "alice"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
    })  # fmt: skip
    reader, writer, head = await upgrade(plane, "GET", f"{POD}/exec?command=ls", WEBSOCKET, token="user")
    assert head.startswith("HTTP/1.1 403")
    assert b'cannot create resource' in await reader.read(4096)
    writer.close()


async def test_the_server_ends_while_a_stream_is_open(plane: Plane, agent: Agent) -> None:
    """The fixture's teardown is the test: it waits for the server, and times out if the stream holds it."""
    _, writer, head = await upgrade(plane, "POST", f"{POD}/attach?stdout=1", SPDY)
    assert head.startswith("HTTP/1.1 101")
    writer.write(b"still talking")
    await writer.drain()
