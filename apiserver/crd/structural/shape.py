"""Pruning and defaulting by a structural schema, in place.

Order of upstream's decoder: metadata is read as ObjectMeta, unknown fields go, nulls that are not allowed and have no
default go, defaults come. Embedded resources have type and metadata beside what their schema says.
"""

from __future__ import annotations

import copy
from typing import Any

from apiserver.validation.field import to_json
from machinery.api.decode import DecodeError, decode
from machinery.api.schema import META, schema_by_name

Schema = dict[str, Any]
_META_FIELDS = ("apiVersion", "kind", "metadata")


class CoercionError(ValueError):
    """Type or metadata of a resource cannot be read at all."""


class Structure:
    """One schema, compiled for the walk that makes a value what it says."""

    __slots__ = (
        "additional", "default", "defaulted", "embedded", "fills", "has_default", "is_int_or_string", "items", "keeps",
        "nullable", "open", "properties",
    )  # fmt: skip

    def __init__(self, schema: Schema) -> None:
        self.properties = {name: Structure(one) for name, one in (schema.get("properties") or {}).items()}
        items = schema.get("items")
        self.items = Structure(items) if isinstance(items, dict) else None
        additional = schema.get("additionalProperties")
        self.additional = Structure(additional) if isinstance(additional, dict) else None
        self.open = additional is True
        self.keeps = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
        self.embedded = bool(schema.get("x-kubernetes-embedded-resource"))
        self.nullable = bool(schema.get("nullable"))
        self.default = schema.get("default")
        self.has_default = self.default is not None
        self.is_int_or_string = bool(schema.get("x-kubernetes-int-or-string"))
        self.defaulted = [(name, one) for name, one in self.properties.items() if one.has_default]
        inner = [*self.properties.values(), *(one for one in (self.items, self.additional) if one is not None)]
        #: Whether anything below has a default.
        self.fills: bool = bool(self.defaulted) or any(one.fills for one in inner)

    # -- unknown fields --------------------------------------------------------------------------------------------------

    def prune(self, value: Any, *, root: bool = False) -> list[str]:
        """Remove what the schema does not know; answers the paths, sorted."""
        found: list[str] = []
        _prune(self, value, "", found, root or self.embedded)
        return sorted(found)

    # -- nulls and defaults ----------------------------------------------------------------------------------------------

    def fill(self, value: Any) -> None:
        """Nulls that nobody wants go, defaults come."""
        if isinstance(value, dict):
            self._drop_nulls(value)
            for name, node in self.defaulted:
                if name not in value or (value[name] is None and not node.nullable):
                    value[name] = copy.deepcopy(node.default)
            for name, one in value.items():
                node_of = self.properties.get(name) or self.additional
                if node_of is not None:
                    node_of.fill(one)
        elif isinstance(value, list) and self.items is not None:
            for one in value:
                self.items.fill(one)

    def _drop_nulls(self, value: dict[str, Any]) -> None:
        for name in [name for name, one in value.items() if one is None]:
            node = self.properties.get(name) or self.additional
            if node is not None and not node.nullable and not node.has_default:
                del value[name]


def _prune(node: Structure, value: Any, path: str, found: list[str], resource: bool) -> None:
    if isinstance(value, dict):
        for name in list(value):
            where = f"{path}.{name}" if path else name
            if resource and name in _META_FIELDS:
                continue
            inner = node.properties.get(name) or node.additional
            if inner is not None:
                _prune(inner, value[name], where, found, inner.embedded)
            elif not node.keeps and not node.open:
                found.append(where)
                del value[name]
    elif isinstance(value, list) and node.items is not None:
        for index, one in enumerate(value):
            _prune(node.items, one, f"{path}[{index}]", found, node.items.embedded)


# -- metadata ------------------------------------------------------------------------------------------------------------


def coerce_root(obj: dict[str, Any]) -> list[str]:
    """The object's own metadata as ObjectMeta; answers the unknown fields. Raises DecodeError."""
    metadata = obj.get("metadata")
    if metadata is None:
        obj["metadata"] = {}
        return []
    if not isinstance(metadata, dict):
        raise DecodeError(f"json: cannot unmarshal {_json_kind(metadata)} into Go value of type v1.ObjectMeta")
    schema = schema_by_name(META + "ObjectMeta")
    assert schema is not None
    return [f"metadata.{name}" for name in decode(metadata, schema)]


def coerce_embedded(node: Structure, value: Any, path: str = "") -> list[str]:
    """Type and metadata of every embedded resource. Raises CoercionError."""
    unknown: list[str] = []
    if isinstance(value, dict):
        if node.embedded:
            unknown += _coerce_resource(value, path)
        for name, one in value.items():
            inner = node.properties.get(name) or node.additional
            if inner is not None:
                unknown += coerce_embedded(inner, one, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and node.items is not None:
        for index, one in enumerate(value):
            unknown += coerce_embedded(node.items, one, f"{path}[{index}]")
    return unknown


def _coerce_resource(value: dict[str, Any], path: str) -> list[str]:
    for name in ("apiVersion", "kind"):
        if name in value and not isinstance(value[name], str):
            raise CoercionError(f"{path}.{name}: Invalid value: {to_json(value[name])}: must be a string")
    if "metadata" not in value:
        return []
    metadata = value["metadata"]
    shown = to_json(_sorted(metadata))
    if not isinstance(metadata, dict):
        what = f"json: cannot unmarshal {_json_kind(metadata)} into Go value of type v1.ObjectMeta"
        raise CoercionError(f"{path}.metadata: Invalid value: {shown}: {what}")
    schema = schema_by_name(META + "ObjectMeta")
    assert schema is not None
    try:
        return [f"{path}.metadata.{name}" for name in decode(metadata, schema)]
    except DecodeError as error:
        raise CoercionError(f"{path}.metadata: Invalid value: {shown}: {error}") from None


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(one) for one in value] if isinstance(value, list) else value


def _json_kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def has_rules(schema: Schema) -> bool:
    """Whether anything in the schema needs CEL."""
    if schema.get("x-kubernetes-validations"):
        return True
    inner = [*(schema.get("properties") or {}).values(), schema.get("items"), schema.get("additionalProperties")]
    return any(isinstance(one, dict) and has_rules(one) for one in inner)
