"""What a URL asks for."""

import pytest

from apiserver.server.context import decode_path
from apiserver.server.request_info import is_long_running, parse_request_info, refine_collection


@pytest.mark.parametrize(
    ("method", "path", "wanted"),
    [
        ("GET", "/api/v1/namespaces/a/pods/b", ("get", "", "v1", "pods", "", "a", "b")),
        ("GET", "/api/v1/namespaces/a/pods/b/log", ("get", "", "v1", "pods", "log", "a", "b")),
        ("PUT", "/api/v1/namespaces/a/status", ("update", "", "v1", "namespaces", "status", "a", "a")),
        ("DELETE", "/api/v1/namespaces/a", ("delete", "", "v1", "namespaces", "", "a", "a")),
        ("POST", "/apis/apps/v1/namespaces/a/deployments", ("create", "apps", "v1", "deployments", "", "a", "")),
        ("PATCH", "/apis/apps/v1/namespaces/a/deployments/d/scale",
         ("patch", "apps", "v1", "deployments", "scale", "a", "d")),
        ("GET", "/api/v1/watch/namespaces/a/pods", ("watch", "", "v1", "pods", "", "a", "")),
        ("GET", "/api/v1/nodes/n/proxy/metrics", ("get", "", "v1", "nodes", "proxy", "", "n")),
    ],
)  # fmt: skip
def test_resource_paths(method: str, path: str, wanted: tuple[str, ...]) -> None:
    info = parse_request_info(method, path)
    found = (info.verb, info.group, info.version, info.resource, info.subresource, info.namespace, info.name)
    assert info.is_resource
    assert found == wanted


@pytest.mark.parametrize("path", ["/", "/api", "/api/v1", "/apis/apps/v1", "/version", "//api/v1/pods", "/openapi/v3/a/b"])
def test_other_paths_have_the_method_as_verb(path: str) -> None:
    info = parse_request_info("GET", path)
    assert not info.is_resource
    assert info.verb == "get"


def test_an_encoded_slash_never_splits_a_segment() -> None:
    assert decode_path("/api/v1/namespaces/a/pods/b%2Fc%20d") == "/api/v1/namespaces/a/pods/b%2Fc d"


@pytest.mark.parametrize(
    ("method", "watch", "verb"), [("GET", False, "list"), ("GET", True, "watch"), ("DELETE", False, "deletecollection")]
)
def test_collections(method: str, watch: bool, verb: str) -> None:
    info = parse_request_info(method, "/api/v1/pods")
    refine_collection(info, watch=watch, field_name="x")
    assert (info.verb, info.name) == (verb, "x")


def test_streams_have_no_deadline() -> None:
    assert is_long_running(parse_request_info("GET", "/api/v1/namespaces/a/pods/b/exec"))
    assert not is_long_running(parse_request_info("GET", "/api/v1/namespaces/a/pods/b"))
