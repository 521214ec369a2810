"""GET of one object: from memory, as fresh as ``resourceVersion`` asks."""

from __future__ import annotations

from apiserver.endpoints.options import bad_resource_version, parse_uint
from apiserver.endpoints.request import Request, reply
from apiserver.endpoints.storage_errors import too_large_revision
from apiserver.server.responses import Reply
from apiserver.storage.interface import FutureRevision


async def get(request: Request) -> Reply:
    media = request.negotiate()
    context, route, store = request.context, request.route, request.store
    revision: int | None = None
    if context.request.query_string:
        asked = context.query.get("resourceVersion", "")
        if asked:
            revision = parse_uint(asked)
            if revision is None:
                raise bad_resource_version(asked)
    try:
        entry = await store.cacher.get(store.key(route.namespace, route.name), revision=revision)
    except FutureRevision as error:
        raise too_large_revision(error) from None
    if entry is None:
        raise store.not_found(route.kind, route.name)
    return reply(request.presenter(media).entry(entry, store.codec(route.kind)), media)
