"""The end of the chain: a request that may be answered, given to the endpoint of its verb."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from apiserver.endpoints.create import create
from apiserver.endpoints.delete import delete
from apiserver.endpoints.deletecollection import delete_collection
from apiserver.endpoints.get import get
from apiserver.endpoints.list import list_objects
from apiserver.endpoints.patch import patch
from apiserver.endpoints.request import Parts, Request
from apiserver.endpoints.storage_errors import translate
from apiserver.endpoints.update import update
from apiserver.endpoints.watch import watch
from apiserver.registry.custom import CustomKind
from apiserver.server.context import RequestContext
from apiserver.server.responses import Reply, plain_not_found
from apiserver.server.router import Route, Router, UnknownGroup, no_such_method
from apiserver.storage.interface import StorageError
from machinery.meta.errors import method_not_allowed

Endpoint = Callable[[Request], Awaitable["Reply | web.StreamResponse"]]
NonResource = Callable[[RequestContext], Awaitable["Reply | web.StreamResponse"]]

VERBS: dict[str, Endpoint] = {
    "get": get, "list": list_objects, "watch": watch, "create": create, "update": update, "patch": patch,
    "delete": delete, "deletecollection": delete_collection,
}  # fmt: skip


#: (group, version, resource) -> what users are told on every request.
DEPRECATED = {
    ("", "v1", "endpoints"): "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
    ("", "v1", "componentstatuses"): "v1 ComponentStatus is deprecated in v1.19+",
}  # fmt: skip


class Api:
    """``special`` answers (group, resource, subresource) that are not stored objects: reviews, tokens, exec, scale."""

    def __init__(self, parts: Parts, paths: NonResource) -> None:
        self._parts = parts
        self._router = Router(parts.kinds)
        self._paths = paths
        self._special: dict[tuple[str, str, str], Endpoint] = {}

    def answer(self, group: str, resource: str, subresource: str, endpoint: Endpoint) -> None:
        self._special[group, resource, subresource] = endpoint

    async def __call__(self, context: RequestContext) -> Reply | web.StreamResponse:
        if not context.info.is_resource:
            return await self._paths(context)
        try:
            route = self._router.route(context.info, context.request.method)
        except UnknownGroup:
            return plain_not_found()
        if route.verb == "list" and context.info.verb == "watch":
            route = Route(route.kind, "watch", route.namespace, route.name)
        kind = route.kind
        if (kind.group, kind.version, kind.plural) in DEPRECATED:
            context.warn(DEPRECATED[kind.group, kind.version, kind.plural])
        if isinstance(kind, CustomKind) and kind.form.warning:
            context.warn(kind.form.warning)
        request = Request(context, route, self._parts)
        endpoint = self._endpoint(route)
        try:
            return await endpoint(request)
        except StorageError as error:
            raise translate(error) from error

    def _endpoint(self, route: Route) -> Endpoint:
        sub = route.subresource.name if route.subresource is not None else ""
        special = self._special.get((route.kind.group, route.kind.plural, sub))
        if special is None and sub == "scale":
            special = self._special.get(("*", "*", "scale"))
        if special is not None:
            return special
        endpoint = VERBS.get(route.verb)
        if route.verb == "watch" and "watch" not in route.kind.verbs:
            raise method_not_allowed(route.kind.group, route.kind.plural, "watch")
        if endpoint is None:
            raise no_such_method()
        return endpoint
