"""Schemas as OpenAPI shows them."""

from __future__ import annotations

from typing import Any

from apiserver.crd.publishing import published_schema, published_schema_v2

SCHEMA: dict[str, Any] = {"type": "object", "properties": {
    "port": {"x-kubernetes-int-or-string": True}, "maybe": {"type": "string", "nullable": True},
    "some": {"type": "string", "anyOf": [{"minLength": 1}]},
    "pod": {"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"spec": {"type": "object"}}},
    "raw": {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"a": {"type": "string"}}},
}}  # fmt: skip


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        found = {value["$ref"]} if "$ref" in value else set()
        return found.union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


def test_version_3_spells_out_what_the_server_knows() -> None:
    shown = published_schema(SCHEMA)["properties"]
    assert shown["port"]["anyOf"] == [{"type": "integer"}, {"type": "string"}]
    assert shown["pod"]["required"] == ["kind", "apiVersion"] and "metadata" in shown["pod"]["properties"]
    assert all(one.startswith("#/components/schemas/") for one in references(shown))


def test_version_2_leaves_open_what_it_has_no_words_for() -> None:
    shown = published_schema_v2(SCHEMA)["properties"]
    assert shown["port"] == {"x-kubernetes-int-or-string": True}
    assert shown["maybe"] == {} and shown["some"] == {"type": "string"}
    assert "properties" not in shown["raw"]
    assert all(one.startswith("#/definitions/") for one in references(shown)) and references(shown)


def test_the_definition_itself_is_left_as_it_is() -> None:
    before = repr(SCHEMA)
    published_schema(SCHEMA)
    published_schema_v2(SCHEMA)
    assert repr(SCHEMA) == before
