"""Structural schemas: what the schema of a custom resource must look like for the server to understand it.

Every place has exactly one type, value checks inside `allOf`, `anyOf`, `oneOf` and `not` may not describe
structure, and the extensions that tell lists and maps apart fit the types they stand at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from apiserver.validation.field import Errors

Schema = dict[str, Any]

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_NOT_SUPPORTED = ("additionalItems", "definitions", "dependencies", "patternProperties")
#: Words that describe structure or meaning and therefore have no place inside a value check.
_EMPTY_INSIDE = ("title", "description", "type", "x-kubernetes-validations")
_UNDEFINED_INSIDE = ("default", "additionalProperties")
_FALSE_INSIDE = ("nullable", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource",
                 "x-kubernetes-int-or-string")
_BAD_PATTERN = "must be a valid regular expression, but isn't: error parsing regexp: "
_JUNCTORS = ("allOf", "anyOf", "oneOf")
_INT_OR_STRING = ({"type": "integer"}, {"type": "string"})


def validate_structural(errors: Errors, path: str, schema: Schema) -> None:
    """The schema of a whole object."""
    if schema.get("nullable"):
        errors.forbidden(path + ".nullable", "nullable cannot be true at the root")
    if schema.get("additionalProperties") not in (None, False):
        errors.forbidden(path + ".additionalProperties", "must not be used at the root")
    kind = schema.get("type") or ""
    if not kind:
        errors.required(path + ".type", "must not be empty at the root")
    elif kind not in _TYPES:
        errors.not_supported(path + ".type", kind, _TYPES)
    elif kind != "object":
        errors.invalid(path + ".type", kind, "must be object at the root")
    _metadata(errors, path, schema.get("properties") or {})
    _level(errors, path, schema, root=True, in_metadata=False)


def _metadata(errors: Errors, path: str, properties: dict[str, Schema]) -> None:
    """What every object has is described by the server; a schema may restrict its name and no more."""
    for name, wanted in (("apiVersion", "string"), ("kind", "string"), ("metadata", "object")):
        given = (properties.get(name) or {}).get("type") or ""
        if name in properties and given and given != wanted:
            errors.invalid(f"{path}.properties[{name}].type", given, f"must be {wanted}")
    metadata = properties.get("metadata") or {}
    more = set(metadata) - {"type", "properties", "default", "title", "description"}
    if more or set(metadata.get("properties") or ()) - {"name", "generateName"}:
        errors.forbidden(path + ".properties[metadata]",
                         "must not specify anything other than name and generateName, but metadata is implicitly "
                         "specified")


def _level(errors: Errors, path: str, schema: Schema, root: bool, in_metadata: bool) -> None:
    for name in _NOT_SUPPORTED:
        if schema.get(name):
            errors.forbidden(f"{path}.{name}", f"{name} is not supported")
    if schema.get("uniqueItems"):
        errors.forbidden(path + ".uniqueItems",
                         "uniqueItems cannot be set to true since the runtime complexity becomes quadratic")
    if schema.get("$ref"):
        errors.forbidden(path + ".$ref", "$ref is not supported")
    if in_metadata and "default" in schema:
        errors.forbidden(path + ".default", "must not be set in top-level metadata")
    _pattern(errors, path, schema)
    _extensions(errors, path, schema)
    if schema.get("properties") and schema.get("additionalProperties") not in (None, False):
        errors.forbidden(path + ".additionalProperties", "additionalProperties and properties are mutual exclusive")
    for where, inner, what in _children(path, schema):
        if where is None:
            continue
        _level(errors, where, inner, False, (root and where.endswith("properties[metadata]")) or in_metadata)
        _type(errors, where, inner, what)
    _array(errors, path, schema)
    for where, inner in _value_checks(path, schema):
        _inside(errors, where, inner, bool(schema.get("x-kubernetes-int-or-string")))
    for i, rule in enumerate(schema.get("x-kubernetes-validations") or ()):
        if not (rule.get("rule") or "").strip():
            errors.required(f"{path}.x-kubernetes-validations[{i}].rule", "rule is not specified")


def _children(path: str, schema: Schema) -> Iterator[tuple[str | None, Schema, str]]:
    for name, inner in sorted((schema.get("properties") or {}).items()):
        yield f"{path}.properties[{name}]", inner or {}, "object fields"
    additional = schema.get("additionalProperties")
    if isinstance(additional, dict):
        yield path + ".additionalProperties", additional, "object fields"
    items = schema.get("items")
    if isinstance(items, dict):
        yield path + ".items", items, "array items"


def _type(errors: Errors, path: str, schema: Schema, what: str) -> None:
    kind = schema.get("type") or ""
    if not kind:
        if not schema.get("x-kubernetes-int-or-string") and not schema.get("x-kubernetes-preserve-unknown-fields"):
            errors.required(path + ".type", f"must not be empty for specified {what}")
    elif kind not in _TYPES:
        errors.not_supported(path + ".type", kind, _TYPES)


def _array(errors: Errors, path: str, schema: Schema) -> None:
    items = schema.get("items")
    if isinstance(items, list):
        errors.forbidden(path + ".items", "items must be a schema object and not an array")
    elif schema.get("type") == "array" and not items:
        errors.required(path + ".items", "must be specified")


def _pattern(errors: Errors, path: str, schema: Schema) -> None:
    pattern = schema.get("pattern") or ""
    if not pattern:
        return
    bad = re.search(r"\(\?[=!<]+", pattern)
    if (bad and not bad.group().startswith("(?<")) or (bad and bad.group() in ("(?<=", "(?<!")):
        errors.invalid(path + ".pattern", pattern, f"{_BAD_PATTERN}invalid or unsupported Perl syntax: `{bad.group()}`")
        return
    try:
        re.compile(pattern)
    except re.error as error:
        open_class = pattern[error.pos:] if error.pos is not None else pattern
        what = "missing closing ]" if "unterminated character set" in str(error) else str(error)
        errors.invalid(path + ".pattern", pattern, f"{_BAD_PATTERN}{what}: `{open_class}`")


def _extensions(errors: Errors, path: str, schema: Schema) -> None:
    kind = schema.get("type") or ""
    if schema.get("x-kubernetes-preserve-unknown-fields") is False:
        errors.invalid(path + ".x-kubernetes-preserve-unknown-fields", False, "must be true or undefined")
    map_type, list_type = schema.get("x-kubernetes-map-type"), schema.get("x-kubernetes-list-type")
    if map_type is not None:
        if kind != "object":
            if not kind:
                errors.required(path + ".type", "must be object if x-kubernetes-map-type is specified")
            else:
                errors.invalid(path + ".type", kind, "must be object if x-kubernetes-map-type is specified")
        if map_type not in ("atomic", "granular"):
            errors.not_supported(path + ".x-kubernetes-map-type", map_type, ("atomic", "granular"))
    if list_type is not None and kind != "array":
        errors.invalid(path + ".type", kind, "must be array if x-kubernetes-list-type is specified")
    elif list_type is not None and list_type not in ("atomic", "set", "map"):
        errors.not_supported(path + ".x-kubernetes-list-type", list_type, ("atomic", "set", "map"))
    _list_map(errors, path, schema)
    _list_set(errors, path, schema)
    if schema.get("x-kubernetes-embedded-resource"):
        if not schema.get("properties") and not schema.get("x-kubernetes-preserve-unknown-fields"):
            errors.required(path + ".properties", "must not be empty if x-kubernetes-embedded-resource is true without "
                                                  "x-kubernetes-preserve-unknown-fields")
        if kind != "object":
            errors.invalid(path + ".type", kind, "must be object if x-kubernetes-embedded-resource is true")


def _list_map(errors: Errors, path: str, schema: Schema) -> None:
    keys, list_type = schema.get("x-kubernetes-list-map-keys") or [], schema.get("x-kubernetes-list-type")
    where = path + ".x-kubernetes-list-map-keys"
    if keys and list_type != "map":
        if list_type is None:
            errors.required(path + ".x-kubernetes-list-type", "must be map if x-kubernetes-list-map-keys is non-empty")
        else:
            errors.invalid(path + ".x-kubernetes-list-type", list_type,
                           "must be map if x-kubernetes-list-map-keys is non-empty")
    if list_type != "map":
        return
    if not keys:
        errors.required(where, "must not be empty if x-kubernetes-list-type is map")
    items = schema.get("items")
    if not isinstance(items, dict):
        return
    if items.get("type") != "object":
        errors.invalid(path + ".items.type", items.get("type") or "",
                       "must be object if parent array's x-kubernetes-list-type is map")
        return
    known = items.get("properties") or {}
    for key in keys:
        if key in known and known[key].get("type") in ("array", "object"):
            errors.invalid(f"{path}.items.properties[{key}].type", known[key]["type"],
                           "must be a scalar type if parent array's x-kubernetes-list-type is map")
    if len(set(keys)) < len(keys):
        errors.invalid(where, keys, "must not contain duplicate entries")
    if any(key not in known for key in keys):
        errors.invalid(where, keys, "entries must all be names of item properties")


def _list_set(errors: Errors, path: str, schema: Schema) -> None:
    items = schema.get("items")
    if schema.get("x-kubernetes-list-type") != "set" or not isinstance(items, dict):
        return
    text = "must be atomic as item of a list with x-kubernetes-list-type=set"
    if items.get("type") == "object" and items.get("x-kubernetes-map-type") != "atomic":
        errors.invalid(path + ".items.x-kubernetes-map-type", items.get("x-kubernetes-map-type"), text)
    if items.get("type") == "array" and items.get("x-kubernetes-list-type", "atomic") != "atomic":
        errors.invalid(path + ".items.x-kubernetes-list-type", items.get("x-kubernetes-list-type"), text)


def _value_checks(path: str, schema: Schema) -> Iterator[tuple[str, Schema]]:
    for junctor in _JUNCTORS:
        for i, inner in enumerate(schema.get(junctor) or ()):
            yield f"{path}.{junctor}[{i}]", inner or {}
    if schema.get("not"):
        yield path + ".not", schema["not"]


def _inside(errors: Errors, path: str, schema: Schema, int_or_string: bool) -> None:
    """Inside a value check."""
    if int_or_string and schema in _INT_OR_STRING:
        return
    for name in _EMPTY_INSIDE:
        if schema.get(name):
            errors.forbidden(f"{path}.{name}", "must be empty to be structural")
    for name in _UNDEFINED_INSIDE:
        if schema.get(name) is not None:
            errors.forbidden(f"{path}.{name}", "must be undefined to be structural")
    for name in _FALSE_INSIDE:
        if schema.get(name):
            errors.forbidden(f"{path}.{name}", "must be false to be structural")
    for name, inner in sorted((schema.get("properties") or {}).items()):
        _inside(errors, f"{path}.properties[{name}]", inner or {}, False)
    if isinstance(schema.get("items"), dict):
        _inside(errors, path + ".items", schema["items"], False)
    for where, inner in _value_checks(path, schema):
        # An integer or a string may be told apart one level deeper, in an `anyOf` inside `allOf`.
        _inside(errors, where, inner, int_or_string and ".anyOf[" in where.removeprefix(path))
