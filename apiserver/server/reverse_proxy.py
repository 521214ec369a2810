"""Ordinary requests passed on: to a node's agent, a pod or a service, body and answer streamed."""

from __future__ import annotations

import ssl
from typing import Any

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from apiserver.server.context import RequestContext
from apiserver.server.responses import base_headers
from apiserver.server.takeover import Backend, dial_error, forwarded_headers
from machinery.meta.errors import ApiError, bad_request, internal

CHUNK_BYTES = 64 * 1024
#: How much of a refusal is shown.
REFUSAL_BYTES = 2000
#: Hop by hop, or ours to set.
_NOT_COPIED = frozenset((
    "connection", "keep-alive", "transfer-encoding", "content-length", "date", "server", "audit-id",
))  # fmt: skip


async def _refusal(answer: aiohttp.ClientResponse) -> ApiError:
    text = (await answer.content.read(REFUSAL_BYTES)).decode(errors="replace")
    if answer.status == 400:
        return bad_request(text)
    return internal(text) if answer.status == 500 else ApiError(answer.status, "", text)


class ReverseProxy:
    """Keeps one client session; made on first use, because a server without nodes never needs it."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
                auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(),
            )  # fmt: skip
        return self._session

    async def forward(
        self, context: RequestContext, backend: Backend, *, public_path: str = "", refusals_as_status: bool = False
    ) -> web.StreamResponse:
        """Send the request there and its answer back. ``public_path``: under which clients see the backend's root.

        ``refusals_as_status``: the backend refuses in plain words, clients want a Status (logs of an agent).
        """
        request = context.request
        scheme = "https" if backend.tls is not None else "http"
        url = URL(f"{scheme}://{backend.authority}{backend.target}", encoded=True)
        headers = CIMultiDict(forwarded_headers(request.headers.items()))
        headers.pop("Connection", None)
        headers.extend(backend.headers)
        if backend.server_name:
            headers["Host"] = backend.server_name
        body: Any = request.content if request.can_read_body else None
        tls: ssl.SSLContext | bool = backend.tls if backend.tls is not None else True
        try:
            answer = await self._client().request(
                request.method, url, headers=headers, data=body, ssl=tls, allow_redirects=False,
                server_hostname=backend.server_name or None,
                skip_auto_headers=("User-Agent", "Content-Type"),
            )  # fmt: skip
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise dial_error(backend, error) from error
        async with answer:
            if refusals_as_status and not 200 <= answer.status <= 206:
                raise await _refusal(answer)
            return await self._answer(context, answer, public_path)

    @staticmethod
    async def _answer(
        context: RequestContext, answer: aiohttp.ClientResponse, public_path: str
    ) -> web.StreamResponse:
        headers = base_headers(context)
        for name, value in answer.headers.items():
            if name.lower() not in _NOT_COPIED:
                if name.lower() == "location" and public_path and value.startswith("/"):
                    value = public_path + value
                if name.lower() in ("cache-control", "content-type"):
                    headers[name] = value
                else:
                    headers.add(name, value)
        response = web.StreamResponse(status=answer.status, headers=headers)
        length = answer.headers.get("Content-Length")
        if length is not None:
            response.content_length = int(length)
        elif answer.status not in (204, 304):
            response.enable_chunked_encoding()
        await response.prepare(context.request)
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
        return response
