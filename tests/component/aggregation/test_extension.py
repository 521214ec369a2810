"""A small extension API server on loopback, behind an APIService: found, asked for somebody, merged into discovery."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest_asyncio
from aiohttp import WSMsgType, web

from machinery.pki.certificates import SERVER_AUTH, create_authority, issue
from tests.component.apiserver.conftest import Plane, plane

__all__ = ["plane"]

GROUP_VERSION = "fruit.example.com/v1alpha1"
BASE = f"/apis/{GROUP_VERSION}"
APISERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
RESOURCES = [
    {"name": "pears", "singularName": "pear", "namespaced": True, "kind": "Pear", "verbs": ["get", "list"], "shortNames": ["pr"]},
    {"name": "pears/taste", "singularName": "", "namespaced": True, "kind": "Taste", "verbs": ["get"]},
]


@dataclass
class Extension:
    """Believes X-Remote headers only over the front proxy's certificate, as such servers do."""

    port: int = 0
    seen: list[tuple[str, dict[str, list[str]], str]] = field(default_factory=list)
    healthy: bool = True

    async def handle(self, request: web.Request) -> web.StreamResponse:
        certificate = request.transport.get_extra_info("peercert") if request.transport is not None else None
        if not certificate:
            return web.json_response({"code": 401}, status=401)
        remote = {name: request.headers.getall(name) for name in request.headers if name.startswith("X-Remote")}
        names = [value for part in certificate["subject"] for key, value in part if key == "commonName"]
        self.seen.append((request.path_qs, remote, names[0]))
        if not self.healthy:
            return web.Response(status=500, text="ill")
        if request.path == BASE:
            return web.json_response({
                "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP_VERSION, "resources": RESOURCES,
            })  # fmt: skip
        if request.path == "/openapi/v3":
            return web.json_response({"paths": {f"apis/{GROUP_VERSION}": {"serverRelativeURL": f"/openapi/v3{BASE}?hash=1"}}})
        if request.path.endswith("/taste"):
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    await socket.send_str(message.data.upper())
            return socket
        return web.json_response({"path": request.path_qs, "host": request.host, "sent": (await request.read()).decode()})


@pytest_asyncio.fixture
async def extension(plane: Plane, tmp_path: Path) -> AsyncIterator[Extension]:
    now = datetime.now(UTC)
    authority = create_authority("extensions", now)
    pair = issue(authority, "extension", now, dns_names=["fruit.default.svc"], usages=(SERVER_AUTH,))
    certificate, key = tmp_path / "extension.crt", tmp_path / "extension.key"
    certificate.write_bytes(pair.certificate_pem)
    key.write_bytes(pair.key_pem)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    tls.verify_mode = ssl.CERT_OPTIONAL
    tls.load_verify_locations(plane.options.home / "pki" / "front-proxy-ca.crt")
    made = Extension()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls, shutdown_timeout=0.1).start()
    made.port = runner.addresses[0][1]
    await plane.make("/api/v1/namespaces/default/services", {"metadata": {"name": "fruit"}, "spec": {"ports": [{"port": 443}]}})
    await plane.make(APISERVICES, {
        "metadata": {"name": "v1alpha1.fruit.example.com"},
        "spec": {
            "group": "fruit.example.com", "version": "v1alpha1", "groupPriorityMinimum": 2000, "versionPriority": 10,
            "service": {"namespace": "default", "name": "fruit"},
            "caBundle": base64.b64encode(authority.pair().certificate_pem).decode(),
        },
    })  # fmt: skip
    yield made
    await runner.cleanup()


async def condition(plane: Plane, reason: str) -> dict[str, Any]:
    """The condition Available, once it has this reason."""
    doc: Any = None
    for _ in range(60):
        _, doc, _ = await plane.call("GET", f"{APISERVICES}/v1alpha1.fruit.example.com")
        for each in doc.get("status", {}).get("conditions", ()):
            if each["type"] == "Available" and each["reason"] == reason:
                found: dict[str, Any] = each
                return found
        await asyncio.sleep(0.1)
    raise AssertionError(doc)


async def make_reachable(plane: Plane, extension: Extension) -> None:
    await plane.make("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", {
        "metadata": {"name": "fruit-1", "labels": {"kubernetes.io/service-name": "fruit"}}, "addressType": "FQDN",
        "endpoints": [{"addresses": ["localhost"]}], "ports": [{"name": "", "port": extension.port}],
    })  # fmt: skip
    await condition(plane, "Passed")


async def test_unreachable_group_is_503_and_says_why(plane: Plane, extension: Extension) -> None:
    found = await condition(plane, "EndpointsNotFound")
    assert found["message"] == 'cannot find endpointslices for service/fruit in "default"'
    status, body, _ = await plane.call("GET", f"{BASE}/pears")
    assert (status, body) == (503, b"service unavailable\n")
    _, groups, _ = await plane.call("GET", "/apis")
    assert "fruit.example.com" not in [each["name"] for each in groups["groups"]]


async def test_local_services_are_available(plane: Plane, extension: Extension) -> None:
    await condition(plane, "EndpointsNotFound")
    _, doc, _ = await plane.call("GET", f"{APISERVICES}/v1.apps")
    (found,) = doc["status"]["conditions"]
    assert (found["status"], found["reason"]) == ("True", "Local")


async def test_requests_come_with_the_callers_identity(plane: Plane, extension: Extension) -> None:
    await make_reachable(plane, extension)
    extension.seen.clear()
    forged = {"X-Remote-User": "root", "X-Remote-Extra-Scopes": "all", "X-Remote-Group": "system:masters"}
    status, doc, _ = await plane.call("GET", f"{BASE}/namespaces/default/pears/a?x=%2F", headers=forged)
    assert status == 200
    assert doc == {"path": f"{BASE}/namespaces/default/pears/a?x=/", "host": "fruit.default.svc", "sent": ""}
    ((_, remote, certificate),) = extension.seen
    assert certificate == "front-proxy-client"
    assert remote == {
        "X-Remote-User": ["admin"], "X-Remote-Uid": ["1"], "X-Remote-Group": ["system:masters", "system:authenticated"],
    }  # fmt: skip
    status, doc, _ = await plane.call("POST", f"{BASE}/namespaces/default/pears", b'{"a":1}')
    assert (status, doc["sent"]) == (200, '{"a":1}')


async def test_authorized_before_it_is_asked(plane: Plane, extension: Extension) -> None:
    await make_reachable(plane, extension)
    extension.seen.clear()
    status, _, _ = await plane.call("GET", f"{BASE}/pears", token="user")
    assert status == 403
    assert extension.seen == []


async def test_discovery_is_merged(plane: Plane, extension: Extension) -> None:
    await make_reachable(plane, extension)
    _, groups, _ = await plane.call("GET", "/apis")
    (entry,) = [each for each in groups["groups"] if each["name"] == "fruit.example.com"]
    assert entry["preferredVersion"] == {"groupVersion": GROUP_VERSION, "version": "v1alpha1"}
    _, group, _ = await plane.call("GET", "/apis/fruit.example.com")
    assert (group["kind"], group["versions"]) == ("APIGroup", [entry["preferredVersion"]])
    _, listed, _ = await plane.call("GET", BASE)
    assert listed["resources"] == RESOURCES
    wanted = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    _, body, answer = await plane.call("GET", "/apis", headers={"Accept": wanted})
    (item,) = [each for each in body["items"] if each["metadata"]["name"] == "fruit.example.com"]
    (version,) = item["versions"]
    assert version["freshness"] == "Current"
    (resource,) = version["resources"]
    assert (resource["resource"], resource["scope"], resource["shortNames"]) == ("pears", "Namespaced", ["pr"])
    assert resource["subresources"][0]["subresource"] == "taste"
    status, _, _ = await plane.call("GET", "/apis", headers={"Accept": wanted, "If-None-Match": answer.headers["ETag"]})
    assert status == 304
    _, index, _ = await plane.call("GET", "/openapi/v3", headers={"Accept": "application/json"})
    index = index if isinstance(index, dict) else __import__("json").loads(index)
    assert index["paths"][f"apis/{GROUP_VERSION}"]["serverRelativeURL"] == f"/openapi/v3{BASE}?hash=1"
    assert "api/v1" in index["paths"]


async def test_upgrades_pass(plane: Plane, extension: Extension) -> None:
    await make_reachable(plane, extension)
    url = f"{plane.url}{BASE}/namespaces/default/pears/a/taste"
    async with plane.http.ws_connect(url, headers={"Authorization": "Bearer admin"}) as socket:
        await socket.send_str("sweet")
        assert await socket.receive_str(timeout=5) == "SWEET"
    path, remote, _ = extension.seen[-1]
    assert path.endswith("/taste")
    assert remote["X-Remote-User"] == ["admin"]


async def test_a_server_that_falls_ill_is_left_alone(plane: Plane, extension: Extension) -> None:
    await make_reachable(plane, extension)
    extension.healthy = False
    patch = {"metadata": {"annotations": {"look": "again"}}}
    merge = {"Content-Type": "application/merge-patch+json"}
    await plane.call("PATCH", f"{APISERVICES}/v1alpha1.fruit.example.com", patch, headers=merge)
    found = await condition(plane, "FailedDiscoveryCheck")
    assert "bad status from https://" in found["message"]
    assert (await plane.call("GET", f"{BASE}/pears"))[0] == 503


async def test_removed_service_ends_the_group(plane: Plane, extension: Extension) -> None:
    await make_reachable(plane, extension)
    assert (await plane.call("DELETE", f"{APISERVICES}/v1alpha1.fruit.example.com"))[0] == 200
    assert (await plane.call("GET", f"{BASE}/pears"))[0] == 404


async def test_custom_groups_are_listed_as_local(plane: Plane) -> None:
    """The APIService of a custom group comes and goes with its definition."""
    names = {"plural": "figs", "singular": "fig", "kind": "Fig", "listKind": "FigList"}
    schema = {"openAPIV3Schema": {"type": "object"}}
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    await plane.make(definitions, {
        "metadata": {"name": "figs.tree.example.com"},
        "spec": {"group": "tree.example.com", "names": names, "scope": "Namespaced",
                 "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}]},
    })  # fmt: skip

    async def seen(status: int) -> Any:
        for _ in range(60):
            found, doc, _ = await plane.call("GET", f"{APISERVICES}/v1.tree.example.com")
            if found == status and (status != 200 or doc.get("status", {}).get("conditions")):
                return doc
            await asyncio.sleep(0.1)
        raise AssertionError(doc)

    doc = await seen(200)
    assert doc["metadata"]["labels"] == {"kube-aggregator.kubernetes.io/automanaged": "true"}
    assert doc["status"]["conditions"][0]["reason"] == "Local"
    await plane.call("DELETE", f"{definitions}/figs.tree.example.com")
    await seen(404)
