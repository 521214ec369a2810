"""DELETE of a collection: the selected objects, each the way of a single DELETE; the answer lists them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from apiserver.endpoints.delete import delete_one, read_delete_options
from apiserver.endpoints.list import list_page, predicate_of
from apiserver.endpoints.options import DeleteOptions, read_list_options
from apiserver.endpoints.request import Request, reply
from apiserver.server.responses import Reply
from apiserver.storage.cacher import encode_continue
from apiserver.storage.keys import after
from machinery.meta.errors import ApiError, is_not_found
from machinery.meta.objects import Object

WORKERS = 8


async def delete_collection(request: Request) -> Reply:
    media = request.negotiate(stream=True)
    context, route, store = request.context, request.route, request.store
    list_options = read_list_options(context.query, watch=False)
    options = await read_delete_options(request)
    predicate = predicate_of(route.kind, route.namespace, list_options)
    limit, list_options.limit = max(list_options.limit, 0), 0
    base = store.prefix + (f"{route.namespace}/" if route.namespace else "")
    listed, _ = await list_page(store.cacher, base, predicate, list_options)
    pending = list(reversed(listed.entries))

    async def work() -> None:
        while pending:
            entry = pending.pop()
            await _delete_entry(request, options, entry.namespace, entry.name)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(WORKERS, len(pending))):
            group.create_task(work())
    shown = listed.entries[:limit] if limit else listed.entries  # all go, the answer is the first page
    codec = store.codec(route.kind)
    items: list[Object] = [codec.parsed(entry) for entry in shown]  # as they were
    meta = {"resourceVersion": str(listed.revision)}
    if len(shown) < len(listed.entries):
        meta["continue"] = encode_continue(base, after(shown[-1].key), listed.revision)
    body = request.presenter(media).objects(items, meta)
    return reply(body, media)


async def _delete_entry(request: Request, options: DeleteOptions, namespace: str, name: str) -> None:
    write = request.write(options_kind="DeleteOptions")
    write.namespace, write.name, write.dry_run = namespace, name, options.dry_run
    try:
        await delete_one(request, write, replace(options))
    except ApiError as error:
        if not is_not_found(error):
            raise
