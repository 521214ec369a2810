"""PUT of an object or of a subresource that shows the whole object."""

from __future__ import annotations

from apiserver.endpoints.options import read_write_options
from apiserver.endpoints.request import Request, reply
from apiserver.registry import objectmeta
from apiserver.registry.custom import CustomKind
from apiserver.server.responses import Reply
from machinery.meta.objects import Object, deep_copy


async def update(request: Request) -> Reply:
    media = request.negotiate()
    context, kind, parts, store = request.context, request.kind, request.parts, request.store
    options = read_write_options(context.query, "UpdateOptions")
    presenter = request.presenter(media)
    obj = await parts.bodies.read_object(
        context, kind.group, kind.version, kind.kind, parts.schemas.of(kind), strictness=options.strictness,
        custom=kind if isinstance(kind, CustomKind) else None,
    )
    objectmeta.check_name(obj, request.route.name)
    objectmeta.check_namespace(obj, request.route.namespace, namespaced=kind.namespaced)
    write = request.write(options, options_kind="UpdateOptions")

    def replace(old: Object) -> Object:
        copied: Object = deep_copy(obj)
        return copied

    allow_create = store.strategy.create_on_update and not request.subresource
    try:
        outcome = await store.update(write, replace, allow_create=allow_create)
    finally:
        request.take_warnings(write)
    return reply(presenter.object(outcome.obj), media, 201 if outcome.created else 200)
