"""OpenAPI documents: every reference resolves, kubectl finds what it looks for, custom kinds are published."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from machinery.api.builtin import METRICS_KINDS
from machinery.api.kinds import Kind
from machinery.api.openapi import document_hash, document_v2, document_v3, index_v3, v2_protobuf
from machinery.api.table import new_table
from tests.unit.api.api_transcripts import steps

WIDGET = Kind("example.com", "v1", "Widget", "widgets", "widget", True, list_kind="WidgetList", custom=True)
SCHEMA = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}


def _document(path: str) -> dict[str, Any]:
    body = document_v3(new_table(), path)
    assert body is not None
    document: dict[str, Any] = orjson.loads(body)
    return document


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for one in value.values():
            yield from _references(one)
    elif isinstance(value, list):
        for one in value:
            yield from _references(one)


def test_the_index_lists_what_upstream_lists() -> None:
    recorded = next(step for step in steps("discovery.jsonl") if step.id == "oa3")
    index = index_v3(new_table())["paths"]
    assert sorted(index) == sorted(recorded.answer["paths"])
    assert all(entry["serverRelativeURL"].startswith(f"/openapi/v3/{path}?hash=") for path, entry in index.items())


@pytest.mark.parametrize("path", sorted(index_v3(new_table())["paths"]))
def test_every_reference_resolves(path: str) -> None:
    document = _document(path)
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(_references(document)) <= known


def test_v2_resolves_too() -> None:
    document = orjson.loads(document_v2(new_table()))
    assert set(_references(document)) <= {f"#/definitions/{name}" for name in document["definitions"]}
    assert "/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale" in document["paths"]


def test_operation_ids_are_unique() -> None:
    ids = [
        operation["operationId"]
        for item in orjson.loads(document_v2(new_table()))["paths"].values()
        for method, operation in item.items()
        if method != "parameters"
    ]
    assert len(ids) == len(set(ids))


def test_patch_says_that_fields_are_validated() -> None:
    """kubectl decides by these parameters whether to validate on the server and whether dry run works."""
    item = _document("apis/apps/v1")["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]
    patch = item["patch"]
    assert {"fieldValidation", "dryRun", "fieldManager", "force"} <= {one["name"] for one in patch["parameters"]}
    assert patch["x-kubernetes-group-version-kind"] == {"group": "apps", "version": "v1", "kind": "Deployment"}
    assert "application/apply-patch+yaml" in patch["requestBody"]["content"]


def test_merge_keys_are_published() -> None:
    spec = _document("api/v1")["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert spec["x-kubernetes-patch-merge-key"] == "name"
    assert spec["x-kubernetes-patch-strategy"] == "merge"


def test_enumerations_are_published_with_their_meaning() -> None:
    spec = _document("api/v1")["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"]
    assert spec["restartPolicy"]["enum"] == ["Always", "Never", "OnFailure"]
    assert spec["restartPolicy"]["description"].endswith(' - `"OnFailure"`')


def test_unknown_paths_have_no_document() -> None:
    assert document_v3(new_table(), "apis/none.example.com/v1") is None


def test_metrics_have_no_document() -> None:
    table = new_table()
    table.add(*METRICS_KINDS)
    assert index_v3(table) == index_v3(new_table())


def test_a_custom_kind_is_published_and_moves_the_hash() -> None:
    table = new_table()
    core = document_hash(table, "api/v1")
    table.add(WIDGET)
    body = document_v3(table, "apis/example.com/v1", {WIDGET: SCHEMA})
    assert body is not None
    document = orjson.loads(body)
    widget = document["components"]["schemas"]["com.example.v1.Widget"]
    assert widget["properties"]["spec"]["properties"]["size"] == {"type": "integer"}
    assert widget["x-kubernetes-group-version-kind"] == [{"group": "example.com", "version": "v1", "kind": "Widget"}]
    assert set(_references(document)) <= {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert document_hash(table, "api/v1") == core
    changed = {WIDGET: SCHEMA | {"description": "new"}}
    path = "apis/example.com/v1"
    assert document_hash(table, path, {WIDGET: SCHEMA}) != document_hash(table, path, changed)
    assert "com.example.v1.Widget" in orjson.loads(document_v2(table, {WIDGET: SCHEMA}))["definitions"]


def _fields(payload: bytes) -> list[tuple[int, Any]]:
    """The top fields of a protobuf message: (number, bytes or integer)."""
    found: list[tuple[int, Any]] = []
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = payload[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(payload):
        key = varint()
        size = varint()
        if key & 7 == 2:
            found.append((key >> 3, payload[at : at + size]))
            at += size
        else:
            found.append((key >> 3, size))
    return found


def test_v2_as_protobuf_says_the_same() -> None:
    document = orjson.loads(document_v2(new_table()))
    fields = dict(_fields(v2_protobuf(new_table())))
    assert fields[1] == b"2.0"
    paths = {dict(_fields(item))[1].decode(): dict(_fields(item))[2] for _, item in _fields(fields[8])}
    assert sorted(paths) == sorted(document["paths"])
    item = dict(_fields(paths["/api/v1/namespaces/{namespace}/pods/{name}"]))
    operation = _fields(item[8])  # patch
    extensions = {dict(_fields(one))[1] for number, one in operation if number == 13}
    assert extensions == {b"x-kubernetes-action", b"x-kubernetes-group-version-kind"}
    definitions = {dict(_fields(one))[1].decode(): dict(_fields(one))[2] for _, one in _fields(fields[9])}
    assert sorted(definitions) == sorted(document["definitions"])
    port = dict(_fields(definitions["io.k8s.api.core.v1.ContainerPort"]))
    assert port[19] == b"containerPort"
    assert port[22] == b"\n\x06object"


def test_a_custom_schema_with_every_word_is_written() -> None:
    schema = {
        "type": "object", "nullable": True, "maxProperties": 3, "additionalProperties": True, "default": {"a": 1},
        "properties": {"x": {"type": "number", "minimum": 1.5, "enum": [1, "a"], "anyOf": [{"type": "string"}]}},
    }  # fmt: skip
    table = new_table()
    table.add(WIDGET)
    assert b"com.example.v1.Widget" in v2_protobuf(table, {WIDGET: schema})
