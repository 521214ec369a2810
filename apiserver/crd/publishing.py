"""The schema of a version as OpenAPI shows it: what the server knows of embedded resources and of int-or-string is
spelled out for clients that know neither. Version 2 knows less than a structural schema says: what it has no words for
is left open there. Pure."""

from __future__ import annotations

from typing import Any

from machinery.api.schema import META

Schema = dict[str, Any]

_CONVENTIONS = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
_TYPE_FIELDS: Schema = {
    "apiVersion": {
        "type": "string",
        "description": "apiVersion defines the versioned schema of this representation of an object. More info: "
        f"{_CONVENTIONS}#resources",
    },
    "kind": {
        "type": "string",
        "description": "kind is a string value representing the type of this object. In CamelCase. More info: "
        f"{_CONVENTIONS}#types-kinds",
    },
    "metadata": {
        "description": f"Standard object's metadata. More info: {_CONVENTIONS}#metadata",
        "allOf": [{"$ref": f"#/components/schemas/{META}ObjectMeta"}],
    },
}
_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]


def published_schema(schema: Schema) -> Schema:
    out = dict(schema)
    if schema.get("x-kubernetes-int-or-string"):
        if not schema.get("anyOf") and not schema.get("type"):
            out["anyOf"] = _INT_OR_STRING
    if "properties" in schema:
        out["properties"] = {name: published_schema(one) for name, one in schema["properties"].items()}
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            out[name] = published_schema(schema[name])
    if schema.get("x-kubernetes-embedded-resource"):
        out["properties"] = {**(out.get("properties") or {}), **_TYPE_FIELDS}
        out["required"] = [*(name for name in schema.get("required") or () if name not in _TYPE_FIELDS),
                           "kind", "apiVersion"]  # fmt: skip
    return out


_NOT_IN_V2 = ("allOf", "anyOf", "oneOf", "not", "nullable")


def published_schema_v2(schema: Schema) -> Schema:
    out = {name: value for name, value in schema.items() if name not in _NOT_IN_V2}
    if schema.get("nullable") or schema.get("x-kubernetes-int-or-string"):
        for name in ("type", "properties", "items", "additionalProperties", "required"):
            out.pop(name, None)
        return out
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        out.pop("items", None)
        out.pop("properties", None)
    if "properties" in out:
        out["properties"] = {name: published_schema_v2(one) for name, one in out["properties"].items()}
    for name in ("items", "additionalProperties"):
        if isinstance(out.get(name), dict):
            out[name] = published_schema_v2(out[name])
    if schema.get("x-kubernetes-embedded-resource") and "properties" in out:
        meta = {"$ref": f"#/definitions/{META}ObjectMeta"}
        out["properties"] = {**out["properties"], **_TYPE_FIELDS, "metadata": meta}
    return out
