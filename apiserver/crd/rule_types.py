"""Between structural schemas and CEL: the type of a place, how large it may be, and values as CEL sees them. Pure.

Sizes bound what a rule may cost: those that the schema sets, else what fits into a request of three megabytes.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from apiserver.cel.library import standard
from apiserver.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    Type,
    list_of,
    map_of,
)
from apiserver.cel.values import EvalError, MapList, SetList

Schema = dict[str, Any]
MOST_REQUEST = 3 * 1024 * 1024
_SPANS = {"duration": DURATION, "date": TIMESTAMP, "date-time": TIMESTAMP, "datetime": TIMESTAMP}
_META = Type("object", fields={"name": Type("string", size=253), "generateName": Type("string", size=253)})


@dataclass(frozen=True, slots=True)
class Place:
    type: Type
    #: Some value below has another form in CEL than in JSON.
    converted: bool


def place_of(schema: Schema, *, root: bool = False) -> Place:
    return Place(type_of_schema(schema, root=root), _is_converted(schema))


def type_of_schema(schema: Schema, *, root: bool = False) -> Type:
    if schema.get("x-kubernetes-int-or-string"):
        return DYN
    kind, form = schema.get("type"), schema.get("format") or ""
    if kind == "array":
        items = schema.get("items")
        inner = type_of_schema(items) if isinstance(items, dict) else DYN
        least = smallest(items) if isinstance(items, dict) else 1
        most = schema.get("maxItems")
        return list_of(inner, most if most is not None else (MOST_REQUEST - 2) // (least + 1))
    if kind == "object":
        return _object(schema, root)
    if kind == "string":
        if form in _SPANS:
            return _SPANS[form]
        return Type(BYTES.name if form == "byte" else STRING.name, size=text_size(schema))
    return {"boolean": BOOL, "integer": INT, "number": DOUBLE}.get(kind or "", DYN)


def _object(schema: Schema, root: bool) -> Type:
    additional = schema.get("additionalProperties")
    if isinstance(additional, dict):
        most = schema.get("maxProperties")
        size = most if most is not None else (MOST_REQUEST - 2) // (smallest(additional) + 6)
        return map_of(Type("string", size=MOST_REQUEST), type_of_schema(additional), size)
    fields = {
        name: type_of_schema(inner) for name, inner in (schema.get("properties") or {}).items() if _is_known(inner)
    }
    if root or schema.get("x-kubernetes-embedded-resource"):
        fields |= {"apiVersion": Type("string", size=317), "kind": Type("string", size=63), "metadata": _META}
    return Type("object", fields=fields)


def _is_known(schema: Schema) -> bool:
    """A field of unknown shape is not declared."""
    return bool(schema.get("type")) or bool(schema.get("x-kubernetes-int-or-string"))


def text_size(schema: Schema) -> int:
    if schema.get("enum"):
        return max((len(one) for one in schema["enum"] if isinstance(one, str)), default=0)
    most = schema.get("maxLength")
    if most is not None:
        return int(most) if schema.get("format") == "byte" else int(most) * 4
    return MOST_REQUEST - 2


def smallest(schema: Schema) -> int:
    """The fewest bytes of JSON that a value takes."""
    if schema.get("x-kubernetes-int-or-string"):
        return 1
    match schema.get("type"):
        case "string":
            spans = {"date": 12, "date-time": 22, "duration": 3}
            return spans.get(schema.get("format") or "", 2)
        case "array":
            return 2
        case "boolean":
            return 4
        case "object":
            size = 2
            properties = schema.get("properties") or {}
            for name in schema.get("required") or ():
                if name in properties and "default" not in properties[name]:
                    size += len(name) + smallest(properties[name]) + 4
            return size
    return 1


def _is_converted(schema: Schema) -> bool:
    if schema.get("format") in ("byte", "duration", "date", "date-time", "datetime") and schema.get("type") == "string":
        return True
    if schema.get("x-kubernetes-list-type") in ("set", "map"):
        return True
    inner = [*(schema.get("properties") or {}).values(), schema.get("items"), schema.get("additionalProperties")]
    return schema.get("type") == "number" or any(isinstance(one, dict) and _is_converted(one) for one in inner)


def to_cel(schema: Schema, value: Any, place: Place | None = None) -> Any:
    """JSON as CEL: texts of some formats are instants, spans or bytes; sets and keyed lists compare without order."""
    if place is not None and not place.converted:
        return value
    if isinstance(value, dict):
        properties, additional = schema.get("properties") or {}, schema.get("additionalProperties")
        return {
            name: to_cel(inner, one) if isinstance(inner := properties.get(name, additional), dict) else one
            for name, one in value.items()
        }
    if isinstance(value, list):
        return _list(schema, value)
    if isinstance(value, str):
        return _text(schema.get("format") or "", value)
    if schema.get("type") == "number" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def _list(schema: Schema, value: list[Any]) -> list[Any]:
    items = schema.get("items")
    made = [to_cel(items, one) for one in value] if isinstance(items, dict) else value
    match schema.get("x-kubernetes-list-type"):
        case "set":
            return SetList(made)
        case "map":
            keyed = MapList(made)
            keyed.keys = tuple(schema.get("x-kubernetes-list-map-keys") or ())
            return keyed
    return made


def _text(form: str, value: str) -> Any:
    try:
        match form:
            case "date-time" | "datetime":
                return standard.timestamp(value)
            case "date":
                return standard.date_timestamp(value)
            case "duration":
                return standard.duration(value)
            case "byte":
                return base64.b64decode(value, validate=True)
    except (EvalError, ValueError, binascii.Error):
        return value
    return value
