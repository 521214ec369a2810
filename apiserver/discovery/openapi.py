"""``/openapi/v2`` and ``/openapi/v3``: rendered when asked for, kept compressed, with ETag and hashed addresses.

Most servers are never asked; who asks (kubectl) asks once and then sends the ETag. The index needs no document: an
address changes when the rows or the custom schemas behind it do.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable

from apiserver.crd.registry import CustomKinds
from apiserver.server.context import RequestContext
from apiserver.server.negotiate import JSON
from apiserver.server.responses import TEXT, Reply, encode_json
from machinery.api.table import KindTable

V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
V2_PROTOBUF_NAMES = ("application/com.github.proto-openapi.spec.v2@v1.0+protobuf", V2_PROTOBUF)


class OpenApi:
    def __init__(self, kinds: KindTable, custom: CustomKinds) -> None:
        self._kinds = kinds
        self._custom = custom
        self._generation = -1
        self._documents: dict[str, tuple[bytes, str]] = {}

    async def v2(self, context: RequestContext) -> Reply:
        from machinery.api import openapi  # several megabytes of code and prose

        kinds, schemas = self._kinds, self._custom.raw_schemas(v3=False)
        if any(name in context.accept for name in V2_PROTOBUF_NAMES):
            body, tag = self._document("v2.pb", lambda: openapi.v2_protobuf(kinds, schemas))
            return _tagged(context, body, tag, V2_PROTOBUF)
        body, tag = self._document("v2", lambda: openapi.document_v2(kinds, schemas))
        return _tagged(context, body, tag, JSON)

    async def v3_index(self, context: RequestContext) -> Reply:
        from machinery.api import openapi

        return Reply(encode_json(openapi.index_v3(self._kinds, self._custom.raw_schemas())), TEXT)

    async def v3_document(self, context: RequestContext, path: str) -> Reply:
        from machinery.api import openapi

        path, kinds, schemas = path.strip("/"), self._kinds, self._custom.raw_schemas()
        found = self._documents.get(path) if self._generation == kinds.generation else None
        if found is None:
            document = openapi.document_v3(kinds, path, schemas)
            if document is None:
                return Reply(b"", "", 404)
            found = self._document(path, lambda: document)
        reply = _tagged(context, *found, JSON)
        asked = context.query.get("hash")
        if asked is not None and reply.headers is not None:
            current = openapi.document_hash(kinds, path, schemas)
            if asked != current:
                return Reply(b"", JSON, 301, {"Location": f"/openapi/v3/{path}?hash={current}"})
            reply.headers |= {"Cache-Control": "public, immutable"}
        return reply

    def _document(self, name: str, render: Callable[[], bytes]) -> tuple[bytes, str]:
        if self._generation != self._kinds.generation:
            self._documents.clear()
            self._generation = self._kinds.generation
        found = self._documents.get(name)
        if found is None:
            body = render()
            found = (gzip.compress(body, 1), f'"{hashlib.sha512(body).hexdigest().upper()}"')
            self._documents[name] = found
        return found


def _tagged(context: RequestContext, packed: bytes, tag: str, media: str) -> Reply:
    headers = {"ETag": tag, "Vary": "Accept-Encoding"}
    request = context.request
    if tag in request.headers.get("If-None-Match", ""):
        return Reply(b"", media, 304, headers)
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        return Reply(packed, media, 200, headers | {"Content-Encoding": "gzip"})
    return Reply(gzip.decompress(packed), media, 200, headers)
