"""The last filter: what belongs to another server goes there, and discovery tells of all.

It stands after authorization, so that a remote server is only asked what the caller may; it asks itself as well.
"""

from __future__ import annotations

import hashlib

import orjson
from aiohttp import web

from apiserver.aggregation import merging
from apiserver.aggregation.backend import Backends
from apiserver.aggregation.registrations import Registrations, Remote
from apiserver.aggregation.services import ServiceError
from apiserver.discovery.documents import wants_aggregated
from apiserver.server.chain import Next
from apiserver.server.context import RequestContext
from apiserver.server.negotiate import OBJECT_TYPES, negotiate
from apiserver.server.responses import Reply, encode_document, encode_json, text_reply, wants_pretty
from apiserver.server.reverse_proxy import ReverseProxy
from apiserver.server.takeover import pass_upgrade, wants_upgrade
from machinery.api.discovery import AGGREGATED_MEDIA_TYPE
from machinery.api.table import KindTable
from machinery.meta.errors import ApiError

Answer = Reply | web.StreamResponse


class AggregationFilter:
    def __init__(
        self, registrations: Registrations, backends: Backends, proxy: ReverseProxy, kinds: KindTable
    ) -> None:
        self._registrations = registrations
        self._backends = backends
        self._proxy = proxy
        self._kinds = kinds
        self._document: tuple[tuple[int, int], bytes, str] = ((-1, -1), b"", "")

    async def __call__(self, context: RequestContext, following: Next) -> Answer:
        if not self._registrations:
            return await following(context)
        info = context.info
        if info.is_resource:
            remote = self._registrations.get(info.group, info.version) if info.group else None
            return await (self._pass_on(context, remote) if remote is not None else following(context))
        parts = info.path.strip("/").split("/")
        if parts[0] == "apis":
            return await self._discovery(context, parts, following)
        if parts[:2] == ["openapi", "v3"]:
            return await self._openapi(context, parts[2:], following)
        return await following(context)

    # -- passing on

    async def _pass_on(self, context: RequestContext, remote: Remote) -> Answer:
        if not remote.available:
            return text_reply("service unavailable\n", 503)
        assert context.user is not None
        raw = context.request.rel_url
        target = raw.raw_path + (f"?{raw.raw_query_string}" if raw.raw_query_string else "")
        try:
            backend = self._backends.to(remote, target, context.user)
        except (ServiceError, OSError, ValueError):  # the latter two: a caBundle that has just become unreadable
            return text_reply("service unavailable\n", 503)
        try:
            if wants_upgrade(context.request):
                return await pass_upgrade(context.request, backend)
            return await self._proxy.forward(context, backend)
        except ApiError as error:
            return text_reply(f"error trying to reach service: {error.message.removeprefix('error dialing backend: ')}\n", 503)

    # -- documents

    async def _discovery(self, context: RequestContext, parts: list[str], following: Next) -> Answer:
        if len(parts) >= 3:
            remote = self._registrations.get(parts[1], parts[2])
            return await (self._pass_on(context, remote) if remote is not None else following(context))
        if context.request.method != "GET":
            return await following(context)
        remotes = list(self._registrations)
        if len(parts) == 2:
            doc = merging.group(self._kinds, parts[1], remotes) if self._registrations.of_group(parts[1]) else None
            return self._reply(context, doc) if doc is not None else await following(context)
        if wants_aggregated(context.accept):
            return self._aggregated(context, remotes)
        return self._reply(context, merging.group_list(self._kinds, [each for each in remotes if each.available]))

    @staticmethod
    def _reply(context: RequestContext, doc: merging.Doc) -> Reply:
        media = negotiate(context.accept, OBJECT_TYPES)
        return Reply(encode_document(doc, media, pretty=wants_pretty(context)), media.type, 200, {"Vary": "Accept"})

    def _aggregated(self, context: RequestContext, remotes: list[Remote]) -> Reply:
        made_of = (self._kinds.generation, self._registrations.generation)
        if self._document[0] != made_of:
            body = encode_json(merging.aggregated(self._kinds, remotes))
            self._document = (made_of, body, f'"{hashlib.sha512(body).hexdigest().upper()}"')
        _, body, tag = self._document
        headers = {"ETag": tag, "Vary": "Accept", "Cache-Control": "public"}
        if context.request.headers.get("If-None-Match") == tag:
            return Reply(b"", AGGREGATED_MEDIA_TYPE, 304, headers)
        return Reply(body, AGGREGATED_MEDIA_TYPE, 200, headers)

    async def _openapi(self, context: RequestContext, rest: list[str], following: Next) -> Answer:
        if len(rest) >= 3 and rest[0] == "apis":
            remote = self._registrations.get(rest[1], rest[2])
            return await (self._pass_on(context, remote) if remote is not None else following(context))
        answer = await following(context)
        if rest or not isinstance(answer, Reply) or answer.status != 200:
            return answer
        doc = orjson.loads(bytes(answer.body))
        for each in self._registrations:
            if each.openapi is not None and each.available:
                doc["paths"][f"apis/{each.group}/{each.version}"] = each.openapi
        answer.body = encode_json(doc)
        return answer
