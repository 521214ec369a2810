"""DELETE of one object. Options come in the body or, without a body, in the query."""

from __future__ import annotations

from typing import Any

from apiserver.endpoints.bodies import media_type, parse_text, read_body
from apiserver.endpoints.options import DeleteOptions, delete_options_from_body, delete_options_from_query
from apiserver.endpoints.request import Request, reply
from apiserver.registry import deletion
from apiserver.registry.store import Outcome
from apiserver.server.negotiate import PROTOBUF
from apiserver.server.responses import Reply, encode_document, wants_pretty
from machinery.meta.errors import ApiError, bad_request

SCHEME = "pkg/apis/meta/internalversion/scheme/register.go:27"


async def delete(request: Request) -> Reply:
    media = request.negotiate()
    options = await read_delete_options(request)
    write = request.write(options_kind="DeleteOptions")
    write.dry_run = options.dry_run
    try:
        outcome = await delete_one(request, write, options)
    finally:
        request.take_warnings(write)
    if outcome.deleted and not request.store.strategy.returns_deleted:
        return Reply(encode_document(success(request, outcome), media, pretty=wants_pretty(request.context)),
                     media.type)
    return reply(request.presenter(media).object(outcome.obj), media)


async def delete_one(request: Request, write: Any, options: DeleteOptions) -> Outcome:
    return await deletion.delete(
        request.store, write, policy=options.propagation_policy, orphan_dependents=options.orphan_dependents,
        grace_seconds=options.grace_period_seconds, uid=options.uid, resource_version=options.resource_version,
    )  # fmt: skip


def success(request: Request, outcome: Outcome) -> dict[str, Any]:
    kind, meta = request.kind, outcome.obj["metadata"]
    details: dict[str, Any] = {"name": meta["name"]}
    if kind.group:
        details["group"] = kind.group
    details |= {"kind": kind.plural, "uid": meta["uid"]}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


async def read_delete_options(request: Request) -> DeleteOptions:
    context = request.context
    body = await read_body(context)
    if not body:
        return delete_options_from_query(context.query)
    media = media_type(context)
    if media == PROTOBUF:
        from machinery.api import wire

        try:
            value = wire.decode_object(body)
        except ValueError as error:
            raise bad_request(str(error)) from None
    else:
        try:
            value, _ = parse_text(body, media, "DeleteOptions")
        except ApiError as error:
            head, _, tail = error.message.partition("): ")
            raise bad_request(tail.rpartition(" (")[0] if head else error.message) from None
    if not isinstance(value, dict):
        value = {}
    kind = value.get("kind") or "DeleteOptions"
    if kind != "DeleteOptions":
        version = value.get("apiVersion") or "v1"
        raise bad_request(f'no kind "{kind}" is registered for version "{version}" in scheme "{SCHEME}"')
    return delete_options_from_body(value)
