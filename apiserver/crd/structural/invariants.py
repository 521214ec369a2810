"""What a schema implies beside JSON schema: lists without doubles, embedded resources that are resources."""

from __future__ import annotations

from typing import Any

from apiserver.crd.structural.shape import Structure
from apiserver.crd.structural.validate import Cause, plain
from apiserver.validation.field import Errors, show
from apiserver.validation.objectmeta import validate_metadata
from machinery.meta import names

Schema = dict[str, Any]
_MIXED = "may have mixed case, but should otherwise match: "


# -- lists ---------------------------------------------------------------------------------------------------------------


def list_causes(schema: Schema, value: Any, path: str = "") -> list[Cause]:
    """Doubles in sets and keyed lists, at any depth."""
    causes: list[Cause] = []
    _lists(schema, value, path, causes)
    return causes


def _lists(schema: Schema, value: Any, path: str, causes: list[Cause]) -> None:
    if isinstance(value, list):
        items = schema.get("items")
        if not isinstance(items, dict):
            return
        match schema.get("x-kubernetes-list-type"):
            case "set":
                _set(value, path, causes)
            case "map":
                _map(value, schema.get("x-kubernetes-list-map-keys") or (), path, causes)
        for index, one in enumerate(value):
            _lists(items, one, f"{path}[{index}]", causes)
    elif isinstance(value, dict):
        properties = schema.get("properties") or {}
        additional = schema.get("additionalProperties")
        for name in sorted(value):
            inner = properties.get(name, additional)
            if isinstance(inner, dict):
                _lists(inner, value[name], f"{path}.{name}" if path else name, causes)


def _set(value: list[Any], path: str, causes: list[Cause]) -> None:
    seen: set[str] = set()
    told: set[str] = set()
    for index, one in enumerate(value):
        shown = show(_sorted(one))
        if shown in seen and shown not in told:
            told.add(shown)
            causes.append(_duplicate(f"{path}[{index}]", shown))
        seen.add(shown)


def _map(value: list[Any], keys: list[str] | tuple[str, ...], path: str, causes: list[Cause]) -> None:
    seen: set[str] = set()
    told: set[str] = set()
    for index, one in enumerate(value):
        where = f"{path}[{index}]"
        if not isinstance(one, dict):
            causes.append(plain(where, one, "must be an object for an array of list-type map"))
            continue
        shown = show({key: one[key] for key in sorted(keys) if key in one})
        if shown in seen and shown not in told:
            told.add(shown)
            causes.append(_duplicate(where, shown))
        seen.add(shown)


def _duplicate(path: str, shown: str) -> Cause:
    return {"reason": "FieldValueDuplicate", "field": path, "message": f"Duplicate value: {shown}"}


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(one) for one in value] if isinstance(value, list) else value


# -- embedded resources --------------------------------------------------------------------------------------------------


def embedded_causes(node: Structure, value: Any, path: str = "") -> list[Cause]:
    errors = Errors()
    _embedded(node, value, path, errors)
    return errors


def _embedded(node: Structure, value: Any, path: str, errors: Errors) -> None:
    if isinstance(value, dict):
        if node.embedded:
            resource_causes(value, path, errors)
        for name in sorted(value):
            inner = node.properties.get(name) or node.additional
            if inner is not None:
                _embedded(inner, value[name], f"{path}.{name}" if path else name, errors)
    elif isinstance(value, list) and node.items is not None:
        for index, one in enumerate(value):
            _embedded(node.items, one, f"{path}[{index}]", errors)


def resource_causes(value: dict[str, Any], path: str, errors: Errors) -> None:
    for name in ("apiVersion", "kind"):
        if name not in value:
            errors.required(f"{path}.{name}")
    version, kind = value.get("apiVersion"), value.get("kind")
    if isinstance(version, str):
        if not version:
            errors.invalid(f"{path}.apiVersion", version, "must not be empty")
        elif version.count("/") > 1:
            errors.invalid(f"{path}.apiVersion", version, f"unexpected GroupVersion string: {version}")
    if isinstance(kind, str):
        complaints = names.dns1035_label(kind.lower())
        if not kind:
            errors.invalid(f"{path}.kind", kind, "must not be empty")
        elif complaints:
            errors.invalid(f"{path}.kind", kind, _MIXED + ",".join(complaints))
    metadata = value.get("metadata")
    if isinstance(metadata, dict):
        found = Errors()
        named = {"metadata": {"name": "fakename", **{k: v for k, v in metadata.items() if v}}}
        validate_metadata(found, named, bool(metadata.get("namespace")), lambda name, prefix: names.path_segment(name),
                          core=False)  # fmt: skip
        errors += [cause | {"field": f"{path}.{cause['field']}"} for cause in found]
