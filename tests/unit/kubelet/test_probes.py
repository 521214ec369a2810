"""Probes against real servers of the test, and what a row of results means."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from aiohttp import web

from kubelet.cri import CriError
from kubelet.cri.health import check_health, decode_status, encode_request
from kubelet.hooks import run_hook
from kubelet.observed import PodRuntime
from kubelet.probes import ProbeManager
from kubelet.probes.handlers import Target, run_probe
from kubelet.probes.results import LIVENESS, READINESS, STARTUP, Verdict, first_verdict, next_verdict
from proto import cri_pb2 as cri
from tests.unit.kubelet.builders import SANDBOX, container, pod, running


class FakeRuntime:
    def __init__(self, code: int = 0, output: bytes = b"", error: CriError | None = None) -> None:
        self.code, self.output, self.error = code, output, error
        self.asked: list[list[str]] = []

    async def exec_sync(self, container_id: str, command: list[str], timeout_seconds: float = 0) -> Any:
        self.asked.append(list(command))
        if self.error is not None:
            raise self.error
        return cri.ExecSyncResponse(stdout=self.output, exit_code=self.code)


def target(runtime: Any = None, **spec: Any) -> Target:
    return Target(runtime or FakeRuntime(), "c-0", container(**spec), "127.0.0.1")


@pytest.fixture
async def server() -> AsyncIterator[tuple[int, list[web.Request]]]:
    seen: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request)
        where = {"/away": "http://example.invalid/", "/hop": "/good"}.get(request.path)
        if where:
            return web.Response(status=302, headers={"Location": where})
        if request.path == "/slow":
            await asyncio.sleep(5)
        return web.Response(
            status=int(request.path.strip("/") or 200) if request.path[1:].isdigit() else 200, text="body"
        )

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1], seen
    await runner.cleanup()


@pytest.mark.parametrize(
    ("path", "good", "output"),
    [
        ("/good", True, "body"),
        ("/399", True, "body"),
        ("/400", False, "HTTP probe failed with statuscode: 400"),
        ("/503", False, "HTTP probe failed with statuscode: 503"),
        ("/hop", True, "body"),
        ("/away", True, "Probe terminated redirects, Response body: "),
    ],
)
async def test_http(server: tuple[int, list[web.Request]], path: str, good: bool, output: str) -> None:
    result = await run_probe(target(), {"httpGet": {"port": server[0], "path": path}})
    assert (result.success, result.output) == (good, output)


async def test_http_headers_and_named_ports(server: tuple[int, list[web.Request]]) -> None:
    port, seen = server
    action = {
        "port": "web",
        "path": "x",
        "httpHeaders": [{"name": "Host", "value": "h.example"}, {"name": "X-A", "value": "1"}],
    }
    assert (await run_probe(target(ports=[{"name": "web", "containerPort": port}]), {"httpGet": action})).success
    assert (seen[0].path, seen[0].headers["Host"], seen[0].headers["X-A"]) == ("/x", "h.example", "1")
    assert seen[0].headers["User-Agent"] == "kube-probe/1.36"
    missing = await run_probe(target(), {"httpGet": {"port": "web"}})
    assert not missing.success


async def test_http_that_fails_says_how(server: tuple[int, list[web.Request]]) -> None:
    slow = await run_probe(target(), {"httpGet": {"port": server[0], "path": "/slow"}, "timeoutSeconds": 0.2})
    assert slow.output == (
        f'Get "http://127.0.0.1:{server[0]}/slow": '
        "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    )
    refused = await run_probe(target(), {"httpGet": {"port": 1}})
    assert refused.output == 'Get "http://127.0.0.1:1/": dial tcp 127.0.0.1:1: connect: connection refused'


async def test_tcp(server: tuple[int, list[web.Request]]) -> None:
    assert (await run_probe(target(), {"tcpSocket": {"port": server[0]}})).success
    refused = await run_probe(target(), {"tcpSocket": {"port": 1}})
    assert (refused.success, refused.output) == (False, "dial tcp 127.0.0.1:1: connect: connection refused")


async def test_exec() -> None:
    runtime = FakeRuntime(1, b"no\n")
    result = await run_probe(target(runtime), {"exec": {"command": ["cat", "x"]}})
    assert (result.success, result.output) == (False, "no\n")
    assert (await run_probe(target(FakeRuntime()), {"exec": {"command": ["true"]}})).success
    late = FakeRuntime(error=CriError("DEADLINE_EXCEEDED", "timeout 1s exceeded"))
    result = await run_probe(target(late), {"exec": {"command": ["sleep", "9"]}, "timeoutSeconds": 1})
    assert result.output == 'command timed out: "sleep 9" timed out after 1s'


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (b"\x08\x01", None),
        (b"\x08\x02", 'service unhealthy (responded with "NOT_SERVING")'),
        (b"", 'service unhealthy (responded with "UNKNOWN")'),
    ],
)
async def test_grpc(status: bytes, problem: str | None) -> None:
    asked = []

    async def check(request: bytes, _context: Any) -> bytes:
        asked.append(request)
        return status

    server = grpc.aio.server()
    handler = grpc.method_handlers_generic_handler(
        "grpc.health.v1.Health", {"Check": grpc.unary_unary_rpc_method_handler(check)}
    )
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        assert await check_health(f"127.0.0.1:{port}", "svc", 2) == problem
        assert asked == [b"\x0a\x03svc"]
    finally:
        await server.stop(None)


def test_health_messages() -> None:
    assert encode_request("") == b""
    assert encode_request("x" * 200)[:3] == b"\x0a\xc8\x01"
    assert decode_status(b"\x08\x01") == 1


def test_thresholds_count_in_a_row() -> None:
    probe = {"failureThreshold": 2, "successThreshold": 2}
    verdict = first_verdict(READINESS)
    history = []
    for success in (True, True, False, True, False, False, True, True):
        verdict = next_verdict(verdict, success, probe)
        history.append(verdict.good)
    assert history == [False, True, True, True, True, False, False, True]
    assert first_verdict(LIVENESS).good
    assert not first_verdict(STARTUP).good
    assert next_verdict(Verdict(True), False, {}).good


async def test_hooks() -> None:
    assert await run_hook(target(FakeRuntime()), {"exec": {"command": ["true"]}}) is None
    problem = await run_hook(target(FakeRuntime(5, b"out")), {"exec": {"command": ["sh", "-c", "x"]}})
    assert problem == "command 'sh -c x' exited with 5: out"
    assert await run_hook(target(), {"sleep": {"seconds": 0}}) is None
    assert await run_hook(target(), {"httpGet": {"port": 1, "path": "/"}}) is not None


class World:
    """A probe manager with an exec probe whose result the test sets."""

    def __init__(self) -> None:
        self.runtime = FakeRuntime()
        self.reports: list[tuple[str, str]] = []
        self.woken = asyncio.Event()
        self.manager = ProbeManager(
            self.runtime,
            lambda pod, name, kind, output: self.reports.append((kind, output)),  # type: ignore[arg-type]
            lambda uid: self.woken.set(),
        )

    async def until_woken(self) -> None:
        async with asyncio.timeout(5):
            await self.woken.wait()
        self.woken.clear()


FAST = {"exec": {"command": ["x"]}, "periodSeconds": 0.05, "failureThreshold": 2}


def looked(*containers: Any) -> PodRuntime:
    return PodRuntime("u1", "ns", "p", (SANDBOX,), tuple(containers))


async def test_a_startup_probe_holds_the_others_back() -> None:
    world = World()
    p = pod(container(startupProbe=FAST, readinessProbe=FAST, livenessProbe=FAST))
    world.manager.update(p, looked(running()), ending=False)
    assert world.manager.verdicts("u1")[0] == frozenset()
    await world.until_woken()
    assert world.manager.verdicts("u1")[0] == {"c-0"}
    assert world.manager.verdicts("u1")[1] == frozenset()
    world.manager.update(p, looked(running()), ending=False)
    await world.until_woken()
    assert world.manager.verdicts("u1")[1] == {"c-0"}
    world.manager.forget("u1")


async def test_liveness_that_fails_is_told_once_and_reported_each_time() -> None:
    world = World()
    world.runtime.code, world.runtime.output = 1, b"bad"
    world.manager.update(pod(container(livenessProbe=FAST)), looked(running()), ending=False)
    await world.until_woken()
    assert world.manager.verdicts("u1")[2] == {"c-0": "liveness"}
    assert world.reports == [("liveness", "bad")] * 2
    world.manager.update(pod(container(livenessProbe=FAST)), looked(), ending=False)
    assert world.manager.verdicts("u1") == (frozenset(), frozenset(), {})


async def test_a_restarted_agent_believes_what_was_reported_of_the_same_container() -> None:
    p = pod(container(startupProbe=FAST, readinessProbe=FAST))
    p["status"]["containerStatuses"] = [
        {"name": "c", "containerID": "containerd://c-0", "ready": True, "started": True}
    ]
    world = World()
    world.manager.update(p, looked(running()), ending=False)
    assert world.manager.verdicts("u1")[:2] == (frozenset({"c-0"}), frozenset({"c-0"}))
    world.manager.forget("u1")
    world.manager.update(p, looked(running(id="c-1")), ending=False)
    assert world.manager.verdicts("u1")[:2] == (frozenset(), frozenset())
    world.manager.forget("u1")


async def test_the_end_of_a_pod_leaves_only_readiness() -> None:
    world = World()
    p = pod(container(livenessProbe=FAST, readinessProbe=FAST))
    world.manager.update(p, looked(running()), ending=False)
    await world.until_woken()
    world.manager.update(p, looked(running()), ending=True)
    world.runtime.code = 1
    await world.until_woken()
    assert world.manager.verdicts("u1")[1:] == (frozenset(), {})
    assert {kind for kind, _ in world.reports} == {"readiness"}
    world.manager.forget("u1")
