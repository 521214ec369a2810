"""OpenAPI v2: one Swagger document of everything that is served, for clients that do not know v3."""

from __future__ import annotations

from typing import Any

import orjson

from machinery.api.openapi.definitions import Publisher, custom_definitions, custom_name, roots_of
from machinery.api.openapi.paths import Operation, group_version_kind, operation_id, operations, parameter_type
from machinery.api.openapi.v3 import Schemas
from machinery.api.schema import META, RELEASE, read_definitions
from machinery.api.table import KindTable

Object = dict[str, Any]

_PREFIX = "#/definitions/"


def document_v2(table: KindTable, schemas: Schemas | None = None) -> bytes:
    """``/openapi/v2`` as JSON."""
    return orjson.dumps(openapi_v2(table, schemas))


def openapi_v2(table: KindTable, schemas: Schemas | None = None) -> Object:
    """``/openapi/v2`` as a value."""
    kinds = [kind for kind in table if not kind.served_elsewhere]
    publisher = Publisher(read_definitions(), _PREFIX, v3=False)
    publisher.add([*roots_of(kinds), META + "ObjectMeta", META + "ListMeta"])
    definitions = publisher.published
    paths: Object = {}
    for kind in kinds:
        name = kind.schema_name or custom_name(kind)
        if kind.custom:
            definitions |= custom_definitions(kind, (schemas or {}).get(kind), _PREFIX, v3=False)
        listing = f"{name.rpartition('.')[0]}.{kind.list_kind_name}"
        for operation in operations(kind, name, listing, status=META + "Status"):
            paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    for path, item in paths.items():
        item["parameters"] = [
            {"name": word, "in": "path", "required": True, "type": "string", "uniqueItems": True}
            for word in ("namespace", "name")
            if f"{{{word}}}" in path
        ]
    return {
        "swagger": "2.0", "info": {"title": "Kubernetes", "version": RELEASE}, "paths": paths,
        "definitions": dict(sorted(definitions.items())),
    }  # fmt: skip


def _operation(operation: Operation) -> Object:
    parameters: list[Object] = [
        {"name": name, "in": "query", "type": parameter_type(name), "uniqueItems": True} for name in operation.query
    ]
    if operation.body:
        body = META + "Patch" if operation.body == "patch" else operation.body
        parameters.insert(0, {"name": "body", "in": "body", "required": True, "schema": {"$ref": _PREFIX + body}})
    out: Object = {
        "operationId": operation_id(operation), "parameters": parameters, "produces": ["application/json"],
        "schemes": ["https"],
        "responses": {
            "200": {"description": "OK", "schema": {"$ref": _PREFIX + operation.answer}},
            "401": {"description": "Unauthorized"},
        },
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": group_version_kind(operation.kind),
    }  # fmt: skip
    if operation.consumes:
        out["consumes"] = list(operation.consumes)
    return out
