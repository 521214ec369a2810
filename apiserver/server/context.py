"""One request on its way through the server: what is known about it so far."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import unquote

from aiohttp import web
from multidict import MultiMapping

from apiserver.auth.interface import User
from apiserver.server.request_info import RequestInfo, parse_request_info, refine_collection
from machinery.meta.selectors import SelectorError, parse_field_selector

FALSE_WORDS = frozenset(("false", "0"))


class RequestContext:
    """Made by the edge, filled in by the filters, read by the endpoints."""

    __slots__ = (
        "_query", "accept", "annotations", "audit_id", "body", "headers", "info", "priority_level", "request",
        "started_at", "user", "warnings",
    )  # fmt: skip

    def __init__(self, request: web.BaseRequest, audit_id: str) -> None:
        self.request = request
        self.audit_id = audit_id
        self.started_at = time.monotonic()
        raw_path = request.rel_url.raw_path
        self.info: RequestInfo = parse_request_info(request.method, decode_path(raw_path))
        self._query: MultiMapping[str] | None = None
        self.user: User | None = None
        self.accept = request.headers.get("Accept", "")
        self.warnings: list[str] = []
        self.headers: dict[str, str] = {}
        self.annotations: dict[str, str] = {}
        self.priority_level = ""
        self.body: bytes | None = None
        if self.info.is_resource:
            self._refine()

    @property
    def query(self) -> MultiMapping[str]:
        if self._query is None:
            self._query = self.request.query
        return self._query

    def flag(self, name: str) -> bool:
        """A boolean parameter: present and neither ``false`` nor ``0``."""
        value = self.query.get(name)
        return value is not None and value.lower() not in FALSE_WORDS

    def warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

    def _refine(self) -> None:
        info = self.info
        if info.name or info.verb not in ("get", "delete", "watch"):
            return
        query = self.query
        field_name = None
        selector = query.get("fieldSelector")
        if selector and "metadata.name" in selector and info.verb != "delete":
            try:
                field_name = parse_field_selector(selector).required_value("metadata.name")
            except SelectorError:
                field_name = None
        refine_collection(info, watch=self.flag("watch"), field_name=field_name)

    def log_fields(self) -> dict[str, Any]:
        return {"verb": self.info.verb, "path": self.info.path, "user": self.user.name if self.user else ""}


def decode_path(raw: str) -> str:
    """Percent-decoded, but an encoded slash stays apart from a real one: it never splits a segment."""
    if "%" not in raw:
        return raw
    return "/".join(unquote(part).replace("/", "%2F") for part in raw.split("/"))
