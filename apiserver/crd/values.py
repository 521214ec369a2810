"""Values of custom resources against their structural schema: pruned, defaulted, and checked in upstream's words. Pure.

Only what the schema itself says is checked here; rules in CEL are another matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

from machinery.meta.objects import deep_copy

Cause = dict[str, Any]
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,),
}  # fmt: skip


def apply_schema_defaults(value: Any, schema: dict[str, Any]) -> None:
    """Fill in, in place, what is absent (or null where null is not allowed) and has a default."""
    if isinstance(value, dict):
        for name, child in (schema.get("properties") or {}).items():
            if "default" in child and (name not in value or (value[name] is None and not child.get("nullable"))):
                value[name] = deep_copy(child["default"])
            if name in value:
                apply_schema_defaults(value[name], child)
        extra = schema.get("additionalProperties")
        if isinstance(extra, dict):
            for item in value.values():
                apply_schema_defaults(item, extra)
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for item in value:
            apply_schema_defaults(item, schema["items"])


def drop_nulls(value: Any, schema: dict[str, Any]) -> None:
    """Null where the schema does not allow it means absent, if there is a default to take its place."""
    if isinstance(value, dict):
        for name, child in (schema.get("properties") or {}).items():
            if value.get(name, 0) is None and not child.get("nullable") and "default" in child:
                del value[name]
            elif name in value:
                drop_nulls(value[name], child)


def schema_causes(value: Any, schema: dict[str, Any]) -> list[Cause]:
    return list(_check(value, schema, ""))


def _cause(path: str, value: Any, text: str, reason: str = "FieldValueInvalid") -> Cause:
    where = path or "<nil>"
    return {"reason": reason, "message": f"Invalid value: {_shown(value)}: {where} in body {text}", "field": where}


def _shown(value: Any) -> str:
    return orjson.dumps(value).decode()


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    return {dict: "object", list: "array", str: "string"}[type(value)]


def _check(value: Any, schema: dict[str, Any], path: str) -> Iterator[Cause]:
    if value is None and schema.get("nullable"):
        return
    wanted = schema.get("type", "")
    if schema.get("x-kubernetes-int-or-string"):
        if isinstance(value, bool) or not isinstance(value, int | str):
            yield _type_cause(path, value, "integer,string")
            return
    elif wanted and not _has_type(value, wanted):
        yield _type_cause(path, value, wanted)
        return
    if "enum" in schema and value not in schema["enum"]:
        allowed = ", ".join(_shown(each) for each in schema["enum"])
        yield {
            "reason": "FieldValueNotSupported", "field": path or "<nil>",
            "message": f"Unsupported value: {_shown(value)}: supported values: {allowed}",
        }
    if isinstance(value, str):
        yield from _check_string(value, schema, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _check_number(value, schema, path)
    elif isinstance(value, list):
        yield from _check_list(value, schema, path)
    elif isinstance(value, dict):
        yield from _check_object(value, schema, path)
    yield from _check_combined(value, schema, path)


def _type_cause(path: str, value: Any, wanted: str) -> Cause:
    found = _kind(value)
    where = path or "<nil>"
    return {
        "reason": "FieldValueTypeInvalid", "field": where,
        "message": f'Invalid value: "{found}": {where} in body must be of type {wanted}: "{found}"',
    }


def _has_type(value: Any, wanted: str) -> bool:
    if isinstance(value, bool):
        return wanted == "boolean"
    if wanted == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES.get(wanted, (object,)))


def _check_string(value: str, schema: dict[str, Any], path: str) -> Iterator[Cause]:
    if "maxLength" in schema and len(value) > schema["maxLength"]:
        yield {"reason": "FieldValueTooLong", "field": path,
               "message": f"Too long: may not be more than {schema['maxLength']} bytes"}
    if len(value) < schema.get("minLength", 0):
        yield _cause(path, value, f"should be at least {schema['minLength']} chars long")
    pattern = schema.get("pattern")
    if pattern and not _matches(pattern, value):
        yield _cause(path, value, f"should match '{pattern}'")


def _matches(pattern: str, value: str) -> bool:
    try:
        return re.search(pattern, value) is not None
    except re.error:
        return True  # a pattern of another dialect is not ours to judge by


def _check_number(value: float, schema: dict[str, Any], path: str) -> Iterator[Cause]:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None:
        if schema.get("exclusiveMinimum") and value <= low:
            yield _cause(path, value, f"should be greater than {low}")
        elif value < low:
            yield _cause(path, value, f"should be greater than or equal to {low}")
    if high is not None:
        if schema.get("exclusiveMaximum") and value >= high:
            yield _cause(path, value, f"should be less than {high}")
        elif value > high:
            yield _cause(path, value, f"should be less than or equal to {high}")
    step = schema.get("multipleOf")
    if step and value % step:
        yield _cause(path, value, f"should be a multiple of {step}")


def _check_list(value: list[Any], schema: dict[str, Any], path: str) -> Iterator[Cause]:
    if "maxItems" in schema and len(value) > schema["maxItems"]:
        yield {"reason": "FieldValueTooMany", "field": path,
               "message": f"Too many: {len(value)}: must have at most {schema['maxItems']} items"}
    if len(value) < schema.get("minItems", 0):
        yield _cause(path, len(value), f"should have at least {schema['minItems']} items")
    items = schema.get("items")
    if isinstance(items, dict):
        for index, item in enumerate(value):
            yield from _check(item, items, f"{path}[{index}]")
    yield from _check_identity(value, schema, path)


def _check_identity(value: list[Any], schema: dict[str, Any], path: str) -> Iterator[Cause]:
    """Sets and maps in lists hold each element once."""
    sort = schema.get("x-kubernetes-list-type")
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    if sort not in ("set", "map"):
        return
    seen: list[Any] = []
    for index, item in enumerate(value):
        identity = {key: item.get(key) for key in keys} if sort == "map" and isinstance(item, dict) else item
        if identity in seen:
            yield {"reason": "FieldValueDuplicate", "field": f"{path}[{index}]",
                   "message": f"Duplicate value: {_shown(identity)}"}
        seen.append(identity)


def _check_object(value: dict[str, Any], schema: dict[str, Any], path: str) -> Iterator[Cause]:
    for name in schema.get("required") or ():
        if name not in value:
            where = f"{path}.{name}" if path else name
            yield {"reason": "FieldValueRequired", "field": where, "message": "Required value"}
    properties = schema.get("properties") or {}
    extra = schema.get("additionalProperties")
    for name, item in value.items():
        where = f"{path}.{name}" if path else name
        if not path and name in ("metadata", "kind", "apiVersion"):
            continue
        if name in properties:
            yield from _check(item, properties[name], where)
        elif isinstance(extra, dict):
            yield from _check(item, extra, where)
    if "maxProperties" in schema and len(value) > schema["maxProperties"]:
        yield {"reason": "FieldValueTooMany", "field": path,
               "message": f"Too many: {len(value)}: must have at most {schema['maxProperties']} items"}
    if len(value) < schema.get("minProperties", 0):
        yield _cause(path, value, f"should have at least {schema['minProperties']} properties")


def _check_combined(value: Any, schema: dict[str, Any], path: str) -> Iterator[Cause]:
    for part in schema.get("allOf") or ():
        yield from _check(value, part, path)
    if schema.get("anyOf") and not any(not list(_check(value, part, path)) for part in schema["anyOf"]):
        yield _cause(path, value, "must validate at least one schema (anyOf)")
    if schema.get("oneOf"):
        passing = sum(not list(_check(value, part, path)) for part in schema["oneOf"])
        if passing != 1:
            text = "Found none valid" if not passing else f"Found {passing} valid alternatives"
            yield _cause(path, value, f"must validate one and only one schema (oneOf). {text}")
    if schema.get("not") and not list(_check(value, schema["not"], path)):
        yield _cause(path, value, "must not validate the schema (not)")
