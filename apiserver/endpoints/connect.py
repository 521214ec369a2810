"""``exec``, ``attach``, ``portforward`` and ``log`` of pods, and the ``proxy`` of pods, services and nodes.

What is asked for is checked against the pod as the cache has it; then the request is handed to the agent of the pod's
node, or to the pod itself. Finding the backend is pure (``Locator``); passing bytes is ``server.takeover`` and
``server.reverse_proxy``.
"""

from __future__ import annotations

from aiohttp import web

from apiserver.endpoints.locate import Locator
from apiserver.endpoints.log_options import log_query
from apiserver.endpoints.options import is_true
from apiserver.endpoints.request import Request
from apiserver.registry.pipeline import WritePipeline
from apiserver.registry.strategy import Write
from apiserver.server.responses import TEXT, Reply
from apiserver.server.reverse_proxy import ReverseProxy
from apiserver.server.takeover import pass_upgrade, wants_upgrade
from machinery.meta.objects import Object


class Connections:
    """The endpoints that leave the server."""

    def __init__(self, locator: Locator, proxy: ReverseProxy, pipeline: WritePipeline) -> None:
        self._locator = locator
        self._proxy = proxy
        self._pipeline = pipeline

    async def _pod(self, request: Request, name: str) -> Object:
        store, route = request.store, request.route
        entry = await store.cacher.get(store.key(route.namespace, name))
        if entry is None:
            raise store.not_found(route.kind, name)
        return entry.parsed

    async def log(self, request: Request) -> Reply | web.StreamResponse:
        pod = await self._pod(request, request.route.name)
        query = log_query(request.context.query, request.route.name)
        container = self._locator.container(pod, request.context.query.get("container", ""))
        if not pod["spec"].get("nodeName"):
            return Reply(b"", TEXT, 204)
        meta = pod["metadata"]
        path = f"/containerLogs/{meta['namespace']}/{meta['name']}/{container}"
        backend = self._locator.agent(pod["spec"]["nodeName"], path, query)
        return await self._proxy.forward(request.context, backend, refusals_as_status=True)

    async def stream(self, request: Request) -> Reply | web.StreamResponse:
        """exec, attach, portforward."""
        route, query = request.route, request.context.query
        pod = await self._pod(request, route.name)
        what = request.subresource
        await self._admit(request, what)
        path, wanted = self._locator.stream_target(pod, what, query)
        backend = self._locator.agent(pod["spec"]["nodeName"], path, wanted)
        if wants_upgrade(request.context.request):
            return await pass_upgrade(request.context.request, backend)
        return await self._proxy.forward(request.context, backend)

    async def proxy(self, request: Request) -> Reply | web.StreamResponse:
        route, context = request.route, request.context
        backend = await self._locator.proxy_target(
            route.kind.plural, route.namespace, route.name, route.proxy_path, context.request.rel_url.raw_query_string
        )
        await self._admit(request, "proxy")
        raw = context.request.rel_url.raw_path
        if not route.proxy_path and not raw.endswith("/"):
            query = context.request.rel_url.raw_query_string
            return Reply(b"", TEXT, 301, {"Location": f"{raw}/" + (f"?{query}" if query else "")})
        if wants_upgrade(context.request):
            return await pass_upgrade(context.request, backend)
        public = raw[: raw.index("/proxy") + len("/proxy")]
        return await self._proxy.forward(context, backend, public_path=public)

    async def _admit(self, request: Request, subresource: str) -> None:
        write = Write(request.kind, request.user, request.route.namespace, request.route.name, subresource)
        options = connect_options(request)
        await self._pipeline.admit(write, "CONNECT", options, None)
        await self._pipeline.validate_admission(write, "CONNECT", options, None)
        request.take_warnings(write)


_FLAGS = frozenset(("stdin", "stdout", "stderr", "tty"))


def connect_options(request: Request) -> Object:
    """The query as the object that admission sees: PodExecOptions and its like."""
    sub = request.route.subresource
    assert sub is not None
    options: Object = {"kind": sub.kind, "apiVersion": "v1"}
    query = request.context.query
    for name in query:
        if name == "command":
            options[name] = query.getall(name)
        elif name == "ports":
            options[name] = [int(port) for port in query.getall(name) if port.isdigit()]
        elif name in _FLAGS:
            options[name] = is_true(query[name])
        elif name == "container":
            options[name] = query[name]
    if sub.name == "proxy" and request.route.proxy_path:
        options["path"] = request.route.proxy_path
    return options
