"""Everything that is not a resource: discovery, health, version, metrics, OpenAPI, keys. One table of paths.

Documents that follow from the table of kinds are rendered once a table generation and served as bytes with an ETag.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from apiserver.discovery.documents import DiscoveryDocuments
from apiserver.discovery.health import Health
from apiserver.discovery.openapi import OpenApi
from apiserver.discovery.version import version_document
from apiserver.server.context import RequestContext
from apiserver.server.metrics import REGISTRY
from apiserver.server.negotiate import JSON, negotiate
from apiserver.server.responses import PlainNotFound, Reply, encode_document, plain_not_found, text_reply, wants_pretty
from apiserver.server.router import no_such_method, no_such_resource

Handler = Callable[[RequestContext], Awaitable["Reply | web.StreamResponse"]]

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"


class Paths:
    """Routes non-resource requests. ``add`` lets other parts (OIDC documents) bring their own."""

    def __init__(self, documents: DiscoveryDocuments, health: Health, openapi: OpenApi) -> None:
        self._documents = documents
        self._health = health
        self._openapi = openapi
        self._exact: dict[str, Handler] = {
            "/": self._root, "/version": self._version, "/metrics": self._metrics, "/metrics/slis": self._metrics,
            "/openapi/v2": openapi.v2, "/openapi/v3": openapi.v3_index, "/flagz": self._flagz, "/statusz": self._flagz,
        }  # fmt: skip

    def add(self, path: str, handler: Handler) -> None:
        self._exact[path] = handler

    async def __call__(self, context: RequestContext) -> Reply | web.StreamResponse:
        path, method = context.info.path, context.request.method
        trimmed = path.rstrip("/") or "/"
        handler = self._exact.get(trimmed)
        if handler is not None:
            if trimmed in ("/version",) and method != "GET":
                raise no_such_method()
            return await handler(context)
        first = trimmed[1:].partition("/")[0]
        if first in ("healthz", "livez", "readyz"):
            return self._health.answer(context, trimmed)
        if first in ("api", "apis") and not path.startswith("//"):
            return self._discovery(context, trimmed)
        if trimmed.startswith("/openapi/v3/"):
            return await self._openapi.v3_document(context, trimmed.removeprefix("/openapi/v3/"))
        if first == "version":
            raise no_such_resource()
        return plain_not_found()

    async def _root(self, context: RequestContext) -> Reply:
        if context.info.path != "/":
            return plain_not_found()
        paths = ["/apis/", *self._documents.paths(), *self._health.paths(), *(p for p in self._exact if p != "/")]
        return self._json(context, {"paths": sorted(set(paths))})

    async def _version(self, context: RequestContext) -> Reply:
        return self._json(context, version_document())

    async def _metrics(self, context: RequestContext) -> Reply:
        from prometheus_client import REGISTRY as PROCESS
        from prometheus_client import generate_latest

        return Reply(generate_latest(REGISTRY) + generate_latest(PROCESS), METRICS_TYPE)

    async def _flagz(self, context: RequestContext) -> Reply:
        name = context.info.path.strip("/")
        return text_reply(
            f"\nnavarch apiserver {name}\nWarning: This endpoint is not meant to be machine parseable, has no "
            "formatting compatibility guarantees and is for debugging purposes only.\n\n"
        )

    @staticmethod
    def _json(context: RequestContext, doc: dict[str, object]) -> Reply:
        media = negotiate(context.accept, (JSON,))
        return Reply(encode_document(doc, media, pretty=wants_pretty(context)), media.type)

    def _discovery(self, context: RequestContext, path: str) -> Reply:
        if not self._documents.knows(path):
            raise_unknown(self._documents, path)
        if context.request.method != "GET":
            raise no_such_method()
        return self._documents.answer(context, path)


def raise_unknown(documents: DiscoveryDocuments, path: str) -> None:
    parts = path.strip("/").split("/")
    if parts[0] == "api" or (len(parts) > 1 and documents.has_group(parts[1], custom=False)):
        raise no_such_resource()
    raise PlainNotFound()

