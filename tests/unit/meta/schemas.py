"""Schema nodes for these tests: the built-in kinds' and those of the custom resources that transcripts define."""

from __future__ import annotations

from typing import Any

from machinery.api.schema import SchemaNode, compile_schema, schema_for_kind


def schema_of(api_version: str, kind: str) -> SchemaNode:
    group, _, version = api_version.rpartition("/")
    node = schema_for_kind(group, version, kind)
    assert node is not None, (api_version, kind)
    return node


def schema_of_definition(definition: dict[str, Any], version: str) -> SchemaNode:
    for entry in definition["spec"]["versions"]:
        if entry["name"] == version:
            return compile_schema(entry["schema"]["openAPIV3Schema"])
    raise AssertionError(version)
