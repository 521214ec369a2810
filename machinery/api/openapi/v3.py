"""OpenAPI v3: the index, and a document for each group-version."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from machinery.api.kinds import Kind
from machinery.api.openapi.definitions import Publisher, custom_definitions, custom_name, roots_of
from machinery.api.openapi.paths import Operation, group_version_kind, operation_id, operations, parameter_type
from machinery.api.schema import META, RELEASE, read_definitions
from machinery.api.table import KindTable

Object = dict[str, Any]
Schemas = Mapping[Kind, Object]

_PREFIX = "#/components/schemas/"
_FIXED_PATHS = (".well-known/openid-configuration", "api", "apis", "openid/v1/jwks", "version")


def index_v3(table: KindTable, schemas: Schemas | None = None) -> Object:
    """``/openapi/v3``: where each document is; a changed document has a new address."""
    paths = list(_FIXED_PATHS)
    for group, version in table.group_versions():
        if any(not kind.served_elsewhere for kind in table.resources(group, version)):
            paths += [f"apis/{group}", f"apis/{group}/{version}"] if group else [f"api/{version}"]
    return {
        "paths": {
            path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={document_hash(table, path, schemas)}"}
            for path in sorted(set(paths))
        }
    }


def document_hash(table: KindTable, path: str, schemas: Schemas | None = None) -> str:
    """Changes when the document at ``path`` changes."""
    digest = hashlib.sha256(f"{RELEASE}/{path}".encode())
    for kind in _kinds_at(table, path):
        row = (kind.plural, kind.kind, kind.namespaced, kind.verbs, [sub.name for sub in kind.subresources])
        digest.update(repr(row).encode())
        schema = (schemas or {}).get(kind)
        if schema is not None:
            digest.update(orjson.dumps(schema, option=orjson.OPT_SORT_KEYS))
    return digest.hexdigest().upper()


def document_v3(table: KindTable, path: str, schemas: Schemas | None = None) -> bytes | None:
    """The document at ``/openapi/v3/<path>``; None where there is none."""
    if path.strip("/") not in index_v3(table, schemas)["paths"]:
        return None
    return orjson.dumps(_document(_kinds_at(table, path), schemas or {}))


def openapi_v3(table: KindTable, group: str, version: str, schemas: Schemas | None = None) -> Object:
    """The document of one group-version, as a value."""
    return _document(table.resources(group, version), schemas or {})


def _document(kinds: list[Kind], schemas: Schemas) -> Object:
    publisher = Publisher(read_definitions(), _PREFIX, v3=True)
    publisher.add(roots_of(kinds) if kinds else [META + "APIGroup", META + "APIGroupList", META + "APIVersions"])
    publisher.add([META + "ObjectMeta", META + "ListMeta"] if any(kind.custom for kind in kinds) else [])
    components = publisher.published
    paths: Object = {}
    for kind in kinds:
        name = kind.schema_name or custom_name(kind)
        if kind.custom:
            components |= custom_definitions(kind, schemas.get(kind), _PREFIX, v3=True)
        listing = f"{name.rpartition('.')[0]}.{kind.list_kind_name}"
        for operation in operations(kind, name, listing, status=META + "Status"):
            paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    for item_path, item in paths.items():
        item["parameters"] = _path_parameters(item_path)
    return {
        "openapi": "3.0.0", "info": _info(kinds), "paths": paths,
        "components": {"schemas": dict(sorted(components.items()))},
    }  # fmt: skip


def _info(kinds: list[Kind]) -> Object:
    if kinds and all(kind.custom for kind in kinds):
        return {"title": "Kubernetes CRD Swagger", "version": "v0.1.0"}
    return {"title": "Kubernetes", "version": RELEASE}


def _kinds_at(table: KindTable, path: str) -> list[Kind]:
    words = path.strip("/").split("/")
    if len(words) == 2 and words[0] == "api":
        return table.resources("", words[1])
    return table.resources(words[1], words[2]) if len(words) == 3 and words[0] == "apis" else []


def _operation(operation: Operation) -> Object:
    out: Object = {
        "operationId": operation_id(operation),
        "parameters": [
            {"name": name, "in": "query", "schema": {"type": parameter_type(name), "uniqueItems": True}}
            for name in operation.query
        ],
        "responses": {"200": _content("OK", operation.answer), "401": {"description": "Unauthorized"}},
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": group_version_kind(operation.kind),
    }
    if operation.body:
        body = META + "Patch" if operation.body == "patch" else operation.body
        content = {media: {"schema": {"$ref": _PREFIX + body}} for media in operation.consumes}
        out["requestBody"] = {"required": True, "content": content}
    return out


def _content(description: str, definition: str) -> Object:
    return {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": _PREFIX + definition}}},
    }


def _path_parameters(path: str) -> list[Object]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "uniqueItems": True}}
        for name in ("namespace", "name")
        if f"{{{name}}}" in path
    ]
