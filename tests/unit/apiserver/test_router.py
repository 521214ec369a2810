"""Which requests exist, and how the others are refused."""

import pytest

from apiserver.server.request_info import parse_request_info
from apiserver.server.router import Router, UnknownGroup
from machinery.api.table import new_table
from machinery.meta.errors import ApiError

ROUTER = Router(new_table())


def refusal(method: str, path: str) -> int:
    with pytest.raises(ApiError) as caught:
        ROUTER.route(parse_request_info(method, path), method)
    return caught.value.code


@pytest.mark.parametrize(
    ("method", "path", "verb"),
    [
        ("GET", "/api/v1/pods", "list"),
        ("GET", "/api/v1/namespaces/n/pods/", "list"),
        ("POST", "/api/v1/namespaces/n/pods", "create"),
        ("GET", "/api/v1/nodes/n/proxy/a/b", "get"),
        ("GET", "/api/v1/watch/namespaces/n/pods/p", "watch"),
        ("PUT", "/api/v1/namespaces/n/finalize", "update"),
    ],
)
def test_routes(method: str, path: str, verb: str) -> None:
    assert ROUTER.route(parse_request_info(method, path), method).verb == verb


@pytest.mark.parametrize("path", ["/api/v2/pods", "/api/v1/namespaces/n/gadgets", "/apis/apps/v9/namespaces/n/deployments",
                                  "/api/v1/configmaps/a", "/api/v1/namespaces/n/nodes/x",
                                  "/api/v1/namespaces/n/configmaps/a/status",
                                  "/api/v1/namespaces/n/configmaps/a%2Fb"])  # fmt: skip
def test_not_found(path: str) -> None:
    assert refusal("GET", path) == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/v1/configmaps"), ("DELETE", "/api/v1/namespaces"), ("PUT", "/api/v1/namespaces/n/pods"),
     ("POST", "/api/v1/namespaces/n/pods/p/status"), ("HEAD", "/api/v1/namespaces/n/pods/p")],
)  # fmt: skip
def test_not_allowed(method: str, path: str) -> None:
    assert refusal(method, path) == 405


def test_an_unknown_group_is_no_api_at_all() -> None:
    with pytest.raises(UnknownGroup):
        ROUTER.route(parse_request_info("GET", "/apis/none.example.com/v1/namespaces/n/things"), "GET")
