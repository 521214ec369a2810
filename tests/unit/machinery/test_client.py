"""The REST client against a real HTTP server on loopback."""

import pytest
from aiohttp import web

from machinery.client import Client, ClientConfig, ConnectError, load_kubeconfig, resource_path
from machinery.client.kubeconfig import KubeconfigError
from machinery.meta.errors import ApiError, is_expired, is_not_found, not_found


@pytest.fixture
async def server():
    seen = []

    async def handle(request: web.Request) -> web.StreamResponse:
        seen.append((request.method, request.path_qs, dict(request.headers), await request.read()))
        if request.path.endswith("/gone"):
            return web.json_response(not_found("", "pods", "gone").status(), status=404)
        if request.path.endswith("/plain"):
            return web.Response(status=503, text="no backend")
        if request.query.get("watch"):
            answer = web.StreamResponse()
            await answer.prepare(request)
            await answer.write(b'{"type":"ADDED","object":{"metadata":{"name":"a"')
            await answer.write(b'}}}\n{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"old"}}\n')
            return answer
        if request.query.get("limit"):
            second = request.query.get("continue") == "t1"
            meta = {"resourceVersion": "7"} if second else {"resourceVersion": "7", "continue": "t1"}
            return web.json_response({"metadata": meta, "items": [{"n": 2 if second else 1}]})
        return web.json_response({"ok": True})

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", seen
    await runner.cleanup()


async def test_paths_bodies_and_token(server):
    url, seen = server
    async with Client(ClientConfig(url, token="t"), user_agent="me") as client:
        await client.patch("apps/v1", "deployments", "web", {"a": 1}, namespace="ns", subresource="scale", patch_type="strategic", field_manager="x")
    method, path, headers, body = seen[0]
    assert (method, path, body) == ("PATCH", "/apis/apps/v1/namespaces/ns/deployments/web/scale?fieldManager=x", b'{"a":1}')
    assert headers["Content-Type"] == "application/strategic-merge-patch+json"
    assert headers["Authorization"] == "Bearer t"
    assert headers["User-Agent"] == "me"


async def test_a_status_becomes_an_error_with_its_reason(server):
    url, _ = server
    async with Client(ClientConfig(url)) as client:
        with pytest.raises(ApiError) as caught:
            await client.get("v1", "pods", "gone", namespace="d")
        assert is_not_found(caught.value)
        assert caught.value.details == {"name": "gone", "kind": "pods"}
        with pytest.raises(ApiError) as caught:
            await client.get("v1", "pods", "plain", namespace="d")
        assert (caught.value.code, caught.value.reason) == (503, "ServiceUnavailable")


async def test_lists_follow_their_pages(server):
    url, _ = server
    async with Client(ClientConfig(url)) as client:
        whole = await client.list("v1", "pods", limit=1)
    assert whole["items"] == [{"n": 1}, {"n": 2}]
    assert "continue" not in whole["metadata"]


async def test_watch_joins_cut_frames_and_raises_the_error_event(server):
    url, _ = server
    got = []
    async with Client(ClientConfig(url)) as client:
        with pytest.raises(ApiError) as caught:
            async for event in client.watch("v1", "pods"):
                got.append(event)
    assert got == [("ADDED", {"metadata": {"name": "a"}})]
    assert is_expired(caught.value)


async def test_no_server_is_a_connect_error():
    async with Client(ClientConfig("http://127.0.0.1:1")) as client:
        with pytest.raises(ConnectError):
            await client.get("v1", "nodes", "n")


def test_names_with_colons_stay_readable_and_slashes_are_escaped():
    assert resource_path("rbac.authorization.k8s.io/v1", "clusterroles", None, "system:node") == (
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node"
    )
    assert resource_path("v1", "pods", "d", "a/b").endswith("/pods/a%2Fb")


def test_a_kubeconfig_says_what_is_missing(tmp_path):
    with pytest.raises(KubeconfigError, match="no kubeconfig at"):
        load_kubeconfig(tmp_path / "nope")
    with pytest.raises(KubeconfigError, match="no entry 'x' under contexts"):
        load_kubeconfig({"current-context": "x"})


def test_relative_paths_are_relative_to_the_file(tmp_path):
    (tmp_path / "k").write_text(
        "current-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n"
        "clusters: [{name: c, cluster: {server: 'https://x/', certificate-authority: ca.crt}}]\n"
        "users: [{name: u, user: {client-certificate: a.crt, client-key: a.key}}]\n"
    )
    config = load_kubeconfig(tmp_path / "k")
    assert config.server == "https://x"
    assert (config.ca_file, config.key_file) == (str(tmp_path / "ca.crt"), str(tmp_path / "a.key"))
