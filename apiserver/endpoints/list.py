"""GET of a collection: one snapshot, whole or in pages. JSON lists are joined bytes of the cache's entries."""

from __future__ import annotations

from apiserver.endpoints.options import ListOptions, check_resource_version, read_list_options
from apiserver.endpoints.request import Request, reply
from apiserver.endpoints.storage_errors import EXPIRED_LIST, expired_continue, too_large_revision
from apiserver.registry.fields import check_field_selector
from apiserver.server.responses import Reply
from apiserver.storage.cacher import (
    BadContinue,
    CachedList,
    Cacher,
    Predicate,
    decode_continue,
    encode_continue,
    make_predicate,
)
from apiserver.storage.interface import Compacted, FutureRevision
from machinery.api.kinds import Kind
from machinery.meta.errors import ApiError, bad_request
from machinery.meta.selectors import SelectorError, parse_field_selector, parse_label_selector


async def list_objects(request: Request) -> Reply:
    media = request.negotiate(stream=True)
    context, route, store = request.context, request.route, request.store
    options = read_list_options(context.query, watch=False) if context.request.query_string else ListOptions()
    predicate = predicate_of(route.kind, route.namespace, options)
    presenter = request.presenter(media)
    base = store.prefix + (f"{route.namespace}/" if route.namespace else "")
    listed, consistent = await list_page(store.cacher, base, predicate, options)
    token = ""
    if listed.next_key:
        token = encode_continue(base, listed.next_key, listed.revision if consistent else -1)
    body = presenter.list(store.codec(route.kind), listed.entries, listed.revision, token, listed.remaining)
    return reply(body, media)


def predicate_of(kind: Kind, namespace: str, options: ListOptions, name: str = "") -> Predicate:
    try:
        labels = parse_label_selector(options.label_selector)
        fields = parse_field_selector(options.field_selector)
    except SelectorError as error:
        raise bad_request(str(error)) from None
    fields = check_field_selector(kind, fields)
    if name:
        fields = parse_field_selector(f"metadata.name={name}")
    return make_predicate(namespace=namespace, label_selector=labels, field_selector=fields)


async def list_page(
    cacher: Cacher, base: str, predicate: Predicate, options: ListOptions
) -> tuple[CachedList, bool]:
    """The page, and whether its continuation is of one snapshot."""
    limit = max(options.limit, 0)
    if options.resource_version == "0":
        limit = 0  # any state will do, so it is the cache's, whole
    if options.continue_token:
        return await _continued(cacher, base, predicate, options, limit)
    revision, exact = _wanted(options, limit)
    try:
        return await cacher.list(predicate, limit=limit, revision=revision, exact=exact), True
    except FutureRevision as error:
        raise too_large_revision(error) from None
    except Compacted:
        raise ApiError(410, "Expired", EXPIRED_LIST) from None


def _wanted(options: ListOptions, limit: int) -> tuple[int | None, bool]:
    """(revision, exact). A limit with a version but no match means that very version: the first page of a snapshot."""
    if not options.resource_version:
        return None, False
    revision = check_resource_version(options.resource_version)
    if options.match == "Exact":
        return revision, True
    if limit and not options.match and revision:
        return revision, True
    return revision, False


async def _continued(
    cacher: Cacher, base: str, predicate: Predicate, options: ListOptions, limit: int
) -> tuple[CachedList, bool]:
    try:
        start, revision = decode_continue(base, options.continue_token)
    except BadContinue as error:
        raise bad_request(f"invalid continue token: {error}") from None
    if options.resource_version not in ("", "0"):
        raise bad_request("specifying resource version is not allowed when using continue")
    if revision < 0:
        return await cacher.list(predicate, limit=limit, start_key=start), True
    try:
        return await cacher.list(predicate, limit=limit, start_key=start, revision=revision, exact=True), True
    except FutureRevision as error:
        raise too_large_revision(error) from None
    except Compacted:
        raise expired_continue(encode_continue(base, start, -1)) from None
