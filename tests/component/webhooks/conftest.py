"""A webhook server on loopback, with a certificate of its own authority, that answers as the test tells it."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest_asyncio
from aiohttp import web

from machinery.pki.certificates import SERVER_AUTH, create_authority, issue
from tests.component.apiserver.conftest import Plane, plane

__all__ = ["plane"]

Object = dict[str, Any]
Answer = Callable[[Object], Object]


@dataclass
class Hook:
    """``answers`` by path; every request that came is kept."""

    port: int
    ca_bundle: str
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, Object]] = field(default_factory=list)
    delay_seconds: float = 0.0
    raw: bytes | None = None

    def url(self, path: str) -> str:
        return f"https://127.0.0.1:{self.port}{path}"

    def config(self, name: str, path: str, **more: Any) -> Object:
        """One webhook of a configuration, for configmaps of the default namespace."""
        return {
            "name": f"{name}.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {"url": self.url(path), "caBundle": self.ca_bundle},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE", "DELETE"],
                       "resources": ["configmaps"]}],
            **more,
        }  # fmt: skip

    def requests(self, path: str) -> list[Object]:
        return [request for where, request in self.asked if where == path]

    async def handle(self, request: web.Request) -> web.Response:
        doc = orjson.loads(await request.read())
        asked = doc["request"]
        self.asked.append((request.path, asked))
        await asyncio.sleep(self.delay_seconds)
        if self.raw is not None:
            return web.Response(body=self.raw, content_type="application/json")
        response = {"uid": asked["uid"], **self.answers[request.path](asked)}
        return web.json_response({"kind": "AdmissionReview", "apiVersion": doc["apiVersion"], "response": response})


def patch_of(*operations: Object) -> Object:
    encoded = base64.b64encode(orjson.dumps(list(operations))).decode()
    return {"allowed": True, "patchType": "JSONPatch", "patch": encoded}


@pytest_asyncio.fixture
async def hook(tmp_path: Path) -> AsyncIterator[Hook]:
    now = datetime.now(UTC)
    authority = create_authority("webhooks", now)
    pair = issue(authority, "webhook", now, dns_names=["hook.default.svc"], addresses=["127.0.0.1"], usages=(SERVER_AUTH,))
    certificate, key = tmp_path / "hook.crt", tmp_path / "hook.key"
    certificate.write_bytes(pair.certificate_pem)
    key.write_bytes(pair.key_pem)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    made = Hook(0, base64.b64encode(authority.pair().certificate_pem).decode())
    app = web.Application()
    app.router.add_post("/{path:.*}", made.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls, shutdown_timeout=0.1)
    await site.start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


Configure = Callable[..., Any]


@pytest_asyncio.fixture
async def configure(plane: Plane) -> Configure:
    async def make(kind: str, name: str, *hooks: Object) -> None:
        group = "/apis/admissionregistration.k8s.io/v1"
        await plane.make(f"{group}/{kind.lower()}webhookconfigurations", {"metadata": {"name": name}, "webhooks": hooks})

    return make
