"""Requests that are questions: decoded like objects, answered by auth, never stored."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from apiserver.auth.interface import User
from apiserver.endpoints.options import read_write_options
from apiserver.endpoints.request import Request, reply
from apiserver.registry import objectmeta
from apiserver.server.negotiate import OBJECT_TYPES, negotiate
from apiserver.server.responses import Reply
from machinery.api.schema import schema_for_kind

Object = dict[str, Any]
Answer = Callable[[User, Object, str, str], Awaitable[Object]]


def review_endpoint(answer: Answer) -> Callable[[Request], Awaitable[Reply]]:
    """An endpoint for POST. ``answer`` gets the user, the object, the namespace and the name of the path."""

    async def endpoint(request: Request) -> Reply:
        context, route, kind = request.context, request.route, request.kind
        media = negotiate(context.accept, OBJECT_TYPES, transforms=route.subresource is not None)
        options = read_write_options(context.query, "CreateOptions")
        sub = route.subresource
        group, version, name = (sub.group, sub.version, sub.kind) if sub is not None and sub.version else (
            kind.group, kind.version, sub.kind if sub is not None else kind.kind,
        )
        obj = await request.parts.bodies.read_object(
            context, group, version, name, schema_for_kind(group, version, name), strictness=options.strictness
        )
        if kind.namespaced:
            objectmeta.check_namespace(obj, route.namespace, namespaced=True)
        done = await answer(request.user, obj, route.namespace, route.name)
        return reply(request.presenter(media).object(done), media, 201)

    return endpoint
