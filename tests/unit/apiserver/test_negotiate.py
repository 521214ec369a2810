"""Accept headers against what an endpoint can write."""

import pytest

from apiserver.server.negotiate import CUSTOM_TYPES, JSON, OBJECT_TYPES, PROTOBUF, YAML, negotiate
from machinery.meta.errors import ApiError

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest.mark.parametrize(
    ("accept", "type_", "transform"),
    [
        ("", JSON, ""),
        ("*/*", JSON, ""),
        ("application/json;q=0.1,application/yaml;q=0.9", YAML, ""),
        ("text/html,application/json;q=0.9", JSON, ""),
        (f"{PROTOBUF},application/json", PROTOBUF, ""),
        (TABLE, JSON, "Table"),
        (f"application/json;as=Table;v=v9;g=meta.k8s.io,{JSON}", JSON, ""),
        ("application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", JSON, "PartialObjectMetadata"),
    ],
)
def test_the_best_clause_that_can_be_met(accept: str, type_: str, transform: str) -> None:
    media = negotiate(accept, OBJECT_TYPES, transforms=True)
    assert (media.type, media.transform) == (type_, transform)


def test_protobuf_of_custom_resources_is_not_there() -> None:
    assert negotiate(f"{PROTOBUF},application/json", CUSTOM_TYPES).type == JSON


@pytest.mark.parametrize("accept", ["text/html", "application/*", "garbage", "Application/JSON"])
def test_the_route_refuses_with_what_it_has(accept: str) -> None:
    with pytest.raises(ApiError) as caught:
        negotiate(accept, OBJECT_TYPES, transforms=True)
    assert caught.value.code == 406
    assert caught.value.message.startswith("406: Not Acceptable")


@pytest.mark.parametrize("accept", ["application/json;as=Table", "application/json;as=Bogus;v=v1;g=meta.k8s.io"])
def test_the_handler_refuses_parameters(accept: str) -> None:
    with pytest.raises(ApiError) as caught:
        negotiate(accept, OBJECT_TYPES, transforms=True)
    assert caught.value.message.startswith("only the following media types")
