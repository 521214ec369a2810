"""``/openapi/v2`` and ``/openapi/v3``: documents rendered on first use and kept, with ETag and hashed addresses.

Most servers are never asked; the prose that explain shows is several megabytes and is read only then.
"""

from __future__ import annotations

import gzip
import hashlib
from typing import Any

from apiserver.server.context import RequestContext
from apiserver.server.negotiate import JSON
from apiserver.server.responses import TEXT, Reply, encode_json
from machinery.api.table import KindTable


V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
V2_PROTOBUF_NAMES = (
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf", V2_PROTOBUF,
)


class OpenApi:
    def __init__(self, kinds: KindTable) -> None:
        self._kinds = kinds
        self._generation = -1
        self._documents: dict[str, tuple[bytes, str]] = {}

    async def v2(self, context: RequestContext) -> Reply:
        from machinery.api import openapi

        accept = context.accept
        if any(name in accept for name in V2_PROTOBUF_NAMES) and hasattr(openapi, "v2_protobuf"):
            body, tag = self._document("v2pb", lambda: openapi.v2_protobuf(self._kinds))
            return self._tagged(context, body, tag, V2_PROTOBUF)
        body, tag = self._document("v2", lambda: openapi.document_v2(self._kinds))
        return self._tagged(context, body, tag, JSON)

    async def v3_index(self, context: RequestContext) -> Reply:
        paths: dict[str, Any] = {}
        for path in self._plain_paths():
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={_plain_hash(path)}"}
        for group, version in self._kinds.group_versions():
            path = f"apis/{group}/{version}" if group else f"api/{version}"
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={self._hash(group, version)}"}
        return Reply(encode_json({"paths": paths}), TEXT)

    def _plain_paths(self) -> list[str]:
        """Documents about paths that are no resources."""
        groups = [f"apis/{group}" for group in self._kinds.groups() if group]
        return [".well-known/openid-configuration", "api", "apis", *groups, "openid/v1/jwks", "version"]

    def _hash(self, group: str, version: str) -> str:
        """Changes when the kinds of the group-version do: cheap, so that the index needs no document."""
        kinds = self._kinds.resources(group, version)
        text = "".join(f"{kind.kind} {kind.plural} {id(kind) if kind.custom else ''};" for kind in kinds)
        return hashlib.sha512(f"1.36 {group}/{version} {text}".encode()).hexdigest().upper()

    async def v3_document(self, context: RequestContext, path: str) -> Reply:
        parts = path.strip("/").split("/")
        group, version = ("", parts[1]) if parts[0] == "api" and len(parts) == 2 else ("?", "")
        if parts[0] == "apis" and len(parts) == 3:
            group, version = parts[1], parts[2]
        if (group, version) not in self._kinds.group_versions():
            return Reply(b"", "", 404)
        from machinery.api import openapi

        body, tag = self._document(path, lambda: openapi.document_v3(self._kinds, path) or b"{}")
        reply = self._tagged(context, body, tag, JSON)
        asked = context.query.get("hash")
        if asked is not None:
            if asked != self._hash(group, version):
                location = f"/openapi/v3/{path}?hash={self._hash(group, version)}"
                return Reply(b"", JSON, 301, {"Location": location})
            assert reply.headers is not None
            reply.headers |= {"Cache-Control": "public, immutable"}
        return reply

    def _document(self, name: str, render: Any) -> tuple[bytes, str]:
        """Kept compressed: kubectl asks once a cluster and then sends the ETag."""
        if self._generation != self._kinds.generation:
            self._documents.clear()
            self._generation = self._kinds.generation
        found = self._documents.get(name)
        if found is None:
            body = render()
            found = (gzip.compress(body, 1), f'"{hashlib.sha512(body).hexdigest().upper()}"')
            self._documents[name] = found
        return found

    @staticmethod
    def _tagged(context: RequestContext, packed: bytes, tag: str, media: str) -> Reply:
        headers = {"ETag": tag, "Vary": "Accept-Encoding"}
        request = context.request
        if tag in request.headers.get("If-None-Match", ""):
            return Reply(b"", media, 304, headers)
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            return Reply(packed, media, 200, headers | {"Content-Encoding": "gzip"})
        return Reply(gzip.decompress(packed), media, 200, headers)




def _plain_hash(path: str) -> str:
    return hashlib.sha512(f"1.36 {path}".encode()).hexdigest().upper()
