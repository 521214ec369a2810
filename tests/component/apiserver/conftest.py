"""A whole API server in this process: memory store, real sockets, TLS, tokens."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest_asyncio

from apiserver.main import Options, run

TOKENS = 'admin,admin,1,"system:masters"\nuser,alice,2,"devs"\n'


@dataclass
class Plane:
    url: str
    options: Options
    http: aiohttp.ClientSession
    tls: ssl.SSLContext

    async def call(
        self, method: str, path: str, body: Any = None, *, token: str = "admin", headers: dict[str, str] | None = None,
    ) -> tuple[int, Any, aiohttp.ClientResponse]:
        sent = {"Authorization": f"Bearer {token}", **(headers or {})}
        data = {"data": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
        async with self.http.request(method, self.url + path, headers=sent, **data) as answer:
            text = await answer.read()
            is_json = answer.content_type == "application/json" and text
            return answer.status, (await answer.json() if is_json else text), answer

    async def make(self, path: str, body: Any) -> Any:
        status, doc, _ = await self.call("POST", path, body)
        assert status == 201, doc
        return doc


@pytest_asyncio.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    tokens = tmp_path / "tokens.csv"
    tokens.write_text(TOKENS)
    options = Options(tmp_path, port=0, store="memory", token_auth_file=tokens, announce=False,
                      endpoint_reconciler_type="none")  # fmt: skip
    stop, ready = asyncio.Event(), asyncio.Event()
    server = asyncio.create_task(run(options, stop=stop, ready=ready))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait((server, waiting), return_when=asyncio.FIRST_COMPLETED)
    if server.done():
        server.result()
    tls = ssl.create_default_context(cafile=str(tmp_path / "pki" / "ca.crt"))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as http:
        found = Plane(f"https://127.0.0.1:{options.port}", options, http, tls)
        await found.make("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
        yield found
    stop.set()
    await server
