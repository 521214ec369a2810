"""The schema of a version as OpenAPI shows it: what the server knows of embedded resources and of int-or-string is
spelled out for clients that know neither. Pure."""

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
