"""POST to a collection."""

from __future__ import annotations

from apiserver.endpoints.options import read_write_options
from apiserver.endpoints.request import Request, reply
from apiserver.registry.custom import CustomKind
from apiserver.server.responses import Reply


async def create(request: Request) -> Reply:
    media = request.negotiate()
    context, kind, parts = request.context, request.kind, request.parts
    options = read_write_options(context.query, "CreateOptions")
    presenter = request.presenter(media)
    obj = await parts.bodies.read_object(
        context, kind.group, kind.version, kind.kind, parts.schemas.of(kind), strictness=options.strictness,
        custom=kind if isinstance(kind, CustomKind) else None,
    )
    write = request.write(options, options_kind="CreateOptions")
    try:
        outcome = await request.store.create(write, obj)
    finally:
        request.take_warnings(write)
    return reply(presenter.object(outcome.obj), media, 201)
