"""Writing answers: bytes with the headers that every answer carries.

``Reply`` is what endpoints return: plain data, so that they need no web framework and tests need no server. Streaming
endpoints (watch, exec) take the request over themselves and return the finished stream instead.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, Protocol

import orjson
from aiohttp import web
from multidict import CIMultiDict

from apiserver.server.context import RequestContext
from apiserver.server.negotiate import JSON, PROTOBUF, YAML, MediaType, RouteError, status_type
from machinery.meta.errors import ApiError

TEXT = "text/plain; charset=utf-8"
GZIP_FROM_BYTES = 128 * 1024
LARGE_BYTES = 1024 * 1024
PIECE_BYTES = 256 * 1024
NOT_FOUND_TEXT = b"404 page not found\n"


class PlainNotFound(Exception):
    """No API here at all: becomes the plain-text 404."""


class Reply:
    """Status, body, type. ``headers`` only for what is special about this answer."""

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self, body: bytes | PiecedBody, content_type: str = JSON, status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.body = body
        self.content_type = content_type
        self.status = status
        self.headers = headers


def text_reply(text: str | bytes, status: int = 200) -> Reply:
    return Reply(text.encode() if isinstance(text, str) else text, TEXT, status)


def plain_not_found() -> Reply:
    return Reply(NOT_FOUND_TEXT, TEXT, 404)


def encode_document(doc: dict[str, Any], media: MediaType, *, pretty: bool = False) -> bytes:
    """A small document (Status, discovery) in the negotiated type."""
    if media.type == YAML:
        return encode_yaml(doc)
    if media.type == PROTOBUF:
        from machinery.api import wire  # only clients that ask for it pay for the descriptors

        return wire.encode_object(doc)
    return encode_json(doc, pretty=pretty or media.pretty)


def encode_json(doc: Any, *, pretty: bool = False) -> bytes:
    return orjson.dumps(doc, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE if pretty
                        else orjson.OPT_APPEND_NEWLINE)


def encode_yaml(doc: Any) -> bytes:
    from apiserver.server.yaml_text import dump

    return dump(doc)


def status_reply(context: RequestContext, error: ApiError) -> Reply:
    media = MediaType(status_type(context.accept))
    headers = dict(error.headers)
    if error.retry_after_seconds and "Retry-After" not in headers:
        headers["Retry-After"] = str(error.retry_after_seconds)
    pretty = isinstance(error, RouteError)
    body = encode_document(error.status(), media, pretty=pretty or wants_pretty(context))
    if pretty and media.type == JSON:
        body = body.rstrip()
    return Reply(body, media.type, error.code, headers)


def wants_pretty(context: RequestContext) -> bool:
    """Indented when asked for, or when a person looks with curl, wget or a browser."""
    value = context.query.get("pretty") if context.request.query_string else None
    if value is not None:
        return value not in ("0", "false")
    agent = context.request.headers.get("User-Agent", "")
    return agent.startswith(("curl", "Wget", "Mozilla/5.0"))


def base_headers(context: RequestContext) -> CIMultiDict[str]:
    headers: CIMultiDict[str] = CIMultiDict()
    headers["Audit-Id"] = context.audit_id
    headers["Cache-Control"] = "no-cache, private"
    for name, value in context.headers.items():
        headers[name] = value
    for text in context.warnings:
        headers.add("Warning", f'299 - "{quote_warning(text)}"')
    return headers


def quote_warning(text: str) -> str:
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return "".join(char if char.isprintable() else " " for char in text)


async def send(context: RequestContext, reply: Reply) -> web.StreamResponse:
    """The answer on its way. Large bodies go out in pieces that fit the processor's cache: TLS copies each byte several
    times, and a slow client must not make us hold it all twice."""
    body = reply.body
    whole = isinstance(body, bytes)
    if whole and len(body) < LARGE_BYTES:
        return to_response(context, reply)
    if context.request.method == "HEAD" or "gzip" in context.request.headers.get("Accept-Encoding", ""):
        reply.body = bytes(body)
        return to_response(context, reply)
    headers = base_headers(context)
    headers["Content-Type"] = reply.content_type
    headers.update(reply.headers or {})
    stream = web.StreamResponse(status=reply.status, headers=headers)
    stream.content_length = len(body)
    await stream.prepare(context.request)
    for piece in _cut(body) if isinstance(body, bytes) else body:
        await stream.write(piece)
    await stream.write_eof()
    return stream


def _cut(body: bytes) -> Iterator[memoryview]:
    view = memoryview(body)
    for start in range(0, len(body), PIECE_BYTES):
        yield view[start : start + PIECE_BYTES]


class PiecedBody(Protocol):
    """A body that is made while it is sent; its length is known before."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[bytes]: ...

    def __bytes__(self) -> bytes: ...


def to_response(context: RequestContext, reply: Reply) -> web.Response:
    headers = base_headers(context)
    if reply.content_type and reply.status != 204:
        headers["Content-Type"] = reply.content_type
    if reply.headers:
        headers.update(reply.headers)
    body = bytes(reply.body)
    if context.request.method == "HEAD":
        headers["Content-Length"] = str(len(body))
        body = b""
    elif (
        len(body) >= GZIP_FROM_BYTES and "Content-Encoding" not in headers
        and "gzip" in context.request.headers.get("Accept-Encoding", "")
    ):  # fmt: skip
        compressor = zlib.compressobj(1, zlib.DEFLATED, 31)
        body = compressor.compress(body) + compressor.flush()
        headers["Content-Encoding"] = "gzip"
        headers["Vary"] = "Accept-Encoding"
    return web.Response(status=reply.status, headers=headers, body=body or None)
