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
from machinery.api.shape import complete
from machinery.meta.apply import update_managed_fields

Object = dict[str, Any]
#: What a token lasts when the request does not say.
DEFAULT_TOKEN_SECONDS = 3600

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
        schema = schema_for_kind(group, version, name)
        obj = await request.parts.bodies.read_object(
            context, group, version, name, schema, strictness=options.strictness
        )
        if kind.namespaced:
            objectmeta.check_namespace(obj, route.namespace, namespaced=True)
        else:
            obj.get("metadata", {}).pop("namespace", None)
        if schema is not None and name != "TokenRequest":
            told = "status" in obj
            complete(obj, schema)
            if not told:
                obj.pop("status", None)
        write = request.write(options, options_kind="CreateOptions")
        pipeline = request.parts.resources.pipeline
        if name == "TokenRequest":
            obj.setdefault("spec", {}).setdefault("expirationSeconds", DEFAULT_TOKEN_SECONDS)
        if schema is not None and write.manager:
            managed = update_managed_fields(
                None, obj, manager=write.manager, api_version=obj["apiVersion"], schema=schema, time=pipeline.now(),
                subresource=write.subresource,
            )  # fmt: skip
            if managed:
                obj.setdefault("metadata", {})["managedFields"] = managed
        await pipeline.admit(write, "CREATE", obj, None)
        await pipeline.validate_admission(write, "CREATE", obj, None)
        request.take_warnings(write)
        done = await answer(request.user, obj, route.namespace, route.name)
        return reply(request.presenter(media).object(done), media, 201)

    return endpoint
