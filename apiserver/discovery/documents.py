"""Discovery documents as bytes, kept until the table of kinds changes."""

from __future__ import annotations

import hashlib
from typing import Any

from apiserver.server.context import RequestContext
from apiserver.server.negotiate import JSON, OBJECT_TYPES, MediaType, negotiate, parse_accept
from apiserver.server.responses import Reply, encode_document, encode_json, wants_pretty
from machinery.api import discovery
from machinery.api.table import KindTable

AGGREGATED = discovery.AGGREGATED_MEDIA_TYPE


class DiscoveryDocuments:
    def __init__(self, kinds: KindTable, server_address: str) -> None:
        self._kinds = kinds
        self._server_address = server_address
        self._generation = -1
        self._legacy: dict[str, dict[str, Any]] = {}
        self._aggregated: dict[str, tuple[bytes, str]] = {}

    def paths(self) -> list[str]:
        """For the list of paths at ``/``."""
        self._refresh()
        return [path for path in self._legacy if self._document(path) is not None]

    def has_group(self, group: str, *, custom: bool = True) -> bool:
        return any(kind.group == group and (custom or not kind.custom) for kind in self._kinds)

    def knows(self, path: str) -> bool:
        self._refresh()
        return path in self._legacy

    def answer(self, context: RequestContext, path: str) -> Reply:
        self._refresh()
        if path in ("/api", "/apis") and wants_aggregated(context.accept):
            body, tag = self._aggregated_bytes(path)
            headers = {"ETag": tag, "Vary": "Accept", "Cache-Control": "public"}
            if context.request.headers.get("If-None-Match") == tag:
                return Reply(b"", AGGREGATED, 304, headers)
            return Reply(body, AGGREGATED, 200, headers)
        media = negotiate(context.accept, OBJECT_TYPES)
        doc = self._document(path)
        if media.type not in (JSON,) and media.type != OBJECT_TYPES[1]:
            media = MediaType(media.type)
        return Reply(encode_document(doc, media, pretty=wants_pretty(context)), media.type, 200, {"Vary": "Accept"})

    def _refresh(self) -> None:
        if self._generation == self._kinds.generation:
            return
        kinds = self._kinds
        self._legacy = {"/api": {}, "/apis": {}}
        for group in kinds.groups():
            if group:
                self._legacy[f"/apis/{group}"] = {}
            for version in kinds.versions(group):
                self._legacy[f"/apis/{group}/{version}" if group else f"/api/{version}"] = {}
        self._aggregated = {}
        self._generation = kinds.generation

    def _document(self, path: str) -> dict[str, Any]:
        doc = self._legacy[path]
        if not doc:
            doc = self._legacy[path] = self._render(path) or {}
        return doc

    def _render(self, path: str) -> dict[str, Any] | None:
        kinds = self._kinds
        parts = path.strip("/").split("/")
        if path == "/api":
            return discovery.api_versions(self._server_address)
        if path == "/apis":
            return discovery.api_group_list(kinds)
        if parts[0] == "api":
            return discovery.api_resource_list(kinds, "", parts[1])
        if len(parts) == 2:
            return discovery.api_group(kinds, parts[1])
        return discovery.api_resource_list(kinds, parts[1], parts[2])

    def _aggregated_bytes(self, path: str) -> tuple[bytes, str]:
        found = self._aggregated.get(path)
        if found is None:
            make = discovery.aggregated_core if path == "/api" else discovery.aggregated_groups
            body = encode_json(make(self._kinds))
            found = self._aggregated[path] = (body, f'"{hashlib.sha512(body).hexdigest().upper()}"')
        return found


def wants_aggregated(accept: str) -> bool:
    """The best clause that we can serve asks for the aggregated document."""
    for clause in parse_accept(accept) if accept else ():
        if (clause.type, clause.subtype) != ("application", "json"):
            continue
        transform = clause.param("as")
        if not transform:
            return False
        if transform == "APIGroupDiscoveryList" and clause.param("g") == "apidiscovery.k8s.io":
            if clause.param("v") == "v2":
                return True
    return False
