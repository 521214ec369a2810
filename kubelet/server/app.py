"""The routes of a node's server. Paths and parameters are upstream's, for API servers and scrapers know them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from kubelet.cri.errors import CriError
from kubelet.lookup import PodLookup
from kubelet.observed import Container
from kubelet.server.auth import Denied, Gate
from kubelet.server.logs import BadLogOptions, LogOptions, read_log
from kubelet.server.remote_command import Wanted, serve_websocket
from kubelet.server.stats import Statistics
from kubelet.server.tunnel import is_websocket, pass_through, tunnel_websocket, wants_tunnel
from machinery.runtime.clock import SYSTEM_CLOCK, Clock
from proto import cri_pb2 as cri

log = structlog.get_logger(__name__)
Object = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

RUNNING_CHECK_SECONDS = 0.5


class KubeletServer:
    """Serves one node. ``tls`` is asked anew for every listener so that a rotated certificate is used."""

    def __init__(
        self, lookup: PodLookup, gate: Gate, statistics: Statistics, *, config: Callable[[], Object] = dict,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._lookup, self._runtime, self._gate, self._statistics = lookup, lookup.runtime, gate, statistics
        self._config, self._clock = config, clock
        self._runner: web.AppRunner | None = None

    async def start(self, address: str, port: int, tls: ssl.SSLContext) -> int:
        """Listen; returns the port."""
        app = web.Application(middlewares=[self._guard], client_max_size=1024 * 1024)
        streaming = {
            "/exec/{namespace}/{pod}/{container}": self._exec,
            "/exec/{namespace}/{pod}/{uid}/{container}": self._exec,
            "/attach/{namespace}/{pod}/{container}": self._attach,
            "/attach/{namespace}/{pod}/{uid}/{container}": self._attach,
            "/portForward/{namespace}/{pod}": self._port_forward,
            "/portForward/{namespace}/{pod}/{uid}": self._port_forward,
        }
        for path, handler in streaming.items():
            app.router.add_route("GET", path, handler)
            app.router.add_route("POST", path, handler)
        app.router.add_post("/run/{namespace}/{pod}/{container}", self._run)
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._logs)
        app.router.add_get("/pods", self._list_pods)
        app.router.add_get("/runningpods/", self._list_pods)
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/configz", self._configz)
        app.router.add_get("/stats/summary", self._summary)
        app.router.add_get("/metrics/resource", self._resource_metrics)
        app.router.add_get("/metrics", self._metrics)
        # A stopping agent does not wait for people's shells.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, address, port, ssl_context=tls).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        ssl_object = request.transport.get_extra_info("ssl_object") if request.transport else None
        try:
            await self._gate.check(
                request.method, request.path, ssl_object, request.headers.get("Authorization", "")
            )
            return await handler(request)
        except Denied as denied:
            return web.Response(status=denied.status, text=denied.text)
        except BadLogOptions as error:
            return web.Response(status=400, text=str(error))
        except CriError as error:
            return web.Response(status=500, text=str(error))

    # --- streams ------------------------------------------------------------------------------------------------

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        container = await self._running(request)
        query = request.query
        wanted = _wanted(request)
        url = await self._runtime.exec_url(
            cri.ExecRequest(
                container_id=container.id, cmd=query.getall("command", []), tty=wanted.tty, stdin=wanted.stdin,
                stdout=wanted.stdout, stderr=wanted.stderr and not wanted.tty,
            )
        )  # fmt: skip
        return await self._stream(request, url, wanted)

    async def _attach(self, request: web.Request) -> web.StreamResponse:
        container = await self._running(request)
        wanted = _wanted(request)
        url = await self._runtime.attach_url(
            cri.AttachRequest(
                container_id=container.id, tty=wanted.tty, stdin=wanted.stdin, stdout=wanted.stdout,
                stderr=wanted.stderr and not wanted.tty,
            )
        )  # fmt: skip
        return await self._stream(request, url, wanted)

    async def _stream(self, request: web.Request, url: str, wanted: Wanted) -> web.StreamResponse:
        if is_websocket(request):
            return await serve_websocket(request, url, wanted)
        return await pass_through(request, url)

    async def _port_forward(self, request: web.Request) -> web.StreamResponse:
        pod = self._pod(request)
        sandbox_id = await self._lookup.sandbox_id(pod)
        if sandbox_id is None:
            raise web.HTTPNotFound(text="the pod has no running sandbox")
        ports = [int(port) for port in request.query.getall("port", []) if port.isdigit()]
        url = await self._runtime.port_forward_url(cri.PortForwardRequest(pod_sandbox_id=sandbox_id, port=ports))
        if wants_tunnel(request):
            return await tunnel_websocket(request, url)
        return await pass_through(request, url)

    async def _run(self, request: web.Request) -> web.StreamResponse:
        container = await self._running(request)
        command = request.query.getall("cmd", [])
        answer = await self._runtime.exec_sync(container.id, command[0].split() if len(command) == 1 else command)
        return web.Response(body=answer.stdout + answer.stderr, status=200 if answer.exit_code == 0 else 500)

    # --- logs ---------------------------------------------------------------------------------------------------

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        options = LogOptions.from_query(request.query, self._clock.now())
        pod, name = self._pod(request), request.match_info["container"]
        if self._lookup.container_spec(pod, name) is None:
            raise web.HTTPNotFound(text=f'container "{name}" not found in pod "{pod["metadata"]["name"]}"')
        found = await self._lookup.log_file(pod, name, previous=options.previous)
        if found is None:
            pod_name = pod["metadata"]["name"]
            if options.previous:
                text = f'previous terminated container "{name}" in pod "{pod_name}" not found'
            else:
                reason = _waiting_reason(pod, name) or "ContainerCreating"
                text = f'container "{name}" in pod "{pod_name}" is waiting to start: {reason}'
            raise web.HTTPBadRequest(text=text)
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        response.enable_chunked_encoding()
        ended = asyncio.Event()
        watching = asyncio.ensure_future(self._watch_end(pod, found.container, ended))
        try:
            await response.prepare(request)
            async for piece in read_log(found.path, options, running=ended):
                await response.write(piece)
            await response.write_eof()
        except FileNotFoundError:
            await response.write(f"failed to open log file {found.path}: no such file or directory".encode())
        except ConnectionError:
            pass
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        return response

    async def _watch_end(self, pod: Object, container: Container, ended: asyncio.Event) -> None:
        """Set ``ended`` once the container will write no more."""
        while container.is_running:
            await self._clock.sleep(RUNNING_CHECK_SECONDS)
            runtime = await self._lookup.runtime_of(pod)
            here = next((each for each in runtime.containers if each.id == container.id), None)
            if here is None:
                break
            container = here
        ended.set()

    # --- the node -----------------------------------------------------------------------------------------------

    async def _list_pods(self, _request: web.Request) -> web.Response:
        doc = {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": self._lookup.pods()}
        return web.Response(body=orjson.dumps(doc), content_type="application/json")

    async def _health(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _configz(self, _request: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps({"kubeletconfig": self._config()}), content_type="application/json")

    async def _summary(self, _request: web.Request) -> web.Response:
        body = orjson.dumps(await self._statistics.summary(self._clock.now()))
        return web.Response(body=body, content_type="application/json")

    async def _resource_metrics(self, _request: web.Request) -> web.Response:
        text = await self._statistics.resource_metrics(self._clock.now())
        return web.Response(body=text.encode(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    # --- lookups ------------------------------------------------------------------------------------------------

    def _pod(self, request: web.Request) -> Object:
        info = request.match_info
        pod = self._lookup.pod(info["namespace"], info["pod"], info.get("uid") or "")
        if pod is None:
            raise web.HTTPNotFound(text=f"pod does not exist: {info['namespace']}/{info['pod']}")
        return pod

    async def _running(self, request: web.Request) -> Container:
        name = request.match_info["container"]
        container = await self._lookup.running_container(self._pod(request), name)
        if container is None:
            raise web.HTTPNotFound(text=f'container not found ("{name}")')
        return container


def _wanted(request: web.Request) -> Wanted:
    def asked(*keys: str) -> bool:
        return any(request.query.get(key, "").lower() in ("1", "true") for key in keys)

    return Wanted(
        stdin=asked("input", "stdin"), stdout=asked("output", "stdout"), stderr=asked("error", "stderr"),
        tty=asked("tty"),
    )  # fmt: skip


def _waiting_reason(pod: Object, name: str) -> str:
    status = pod.get("status") or {}
    for key in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        for each in status.get(key) or ():
            if each["name"] == name:
                return str(((each.get("state") or {}).get("waiting") or {}).get("reason", ""))
    return ""
