"""Whether an applied configuration fits its schema; the complaints are upstream's.

Only server-side apply is this strict about shape: an unknown field, a value of another type or a list with the same
key twice stops it before anything is merged.
"""

from __future__ import annotations

from typing import Any

from machinery.meta.apply.fieldset import element_text
from machinery.meta.apply.shape import Shape, Way
from machinery.meta.go_format import go_value


def complaints(shape: Shape, value: Any, path: str = "") -> list[str]:
    """What does not fit, each `path: reason`."""
    if value is None:
        return []
    node = shape.node
    if node is None or shape.way is Way.ANY:
        return []
    if node.type == "object":
        if not isinstance(value, dict):
            return [f"{path}: expected map, got &{{{go_value(value)}}}"]
        return _object_complaints(shape, value, path)
    if node.type == "array":
        if not isinstance(value, list):
            return [f"{path}: expected list, got &{{{go_value(value)}}}"]
        return _list_complaints(shape, value, path)
    return _scalar_complaints(node.type, value, path)


def _object_complaints(shape: Shape, value: dict[str, Any], path: str) -> list[str]:
    node = shape.node
    assert node is not None
    known = node.properties or {}
    closed = node.properties is not None and node.additional_properties is None and not node.preserve_unknown
    out: list[str] = []
    for name, inner in value.items():
        if name not in known and closed:
            out.append(f"{path}.{name}: field not declared in schema")
        else:
            child = known.get(name) or node.additional_properties
            if child is not None:
                out += complaints(_shape(child), inner, f"{path}.{name}")
    return out


def _list_complaints(shape: Shape, value: list[Any], path: str) -> list[str]:
    out: list[str] = []
    seen: set[str] = set()
    for i, item in enumerate(value):
        if shape.way in (Way.LIST_MAP, Way.SET):
            if shape.way is Way.LIST_MAP and not isinstance(item, dict):
                out.append(f"{path}: element {i}: associative list with keys may not have non-map elements")
                continue
            key = shape.element(item)
            if key in seen:
                out.append(f"{path}: duplicate entries for key {element_text(key)}")
                continue
            seen.add(key)
            out += complaints(shape.items, item, path + element_text(key))
        else:
            out += complaints(shape.items, item, f"{path}[{i}]")
    return out


def _scalar_complaints(kind: str, value: Any, path: str) -> list[str]:
    if kind == "string" and not isinstance(value, str):
        return [f"{path}: expected string, got &value.valueUnstructured{{Value:{go_value(value)}}}"]
    if kind == "boolean" and not isinstance(value, bool):
        return [f"{path}: expected boolean, got &{{{go_value(value)}}}"]
    if kind in ("integer", "number") and (isinstance(value, bool) or not isinstance(value, int | float)):
        return [f"{path}: expected numeric (int or float), got {_go_name(value)}"]
    return []


def _go_name(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    return "[]interface {}" if isinstance(value, list) else "map[string]interface {}"


def _shape(node: Any) -> Shape:
    from machinery.meta.apply.shape import shape_of

    return shape_of(node)


def summary(found: list[str]) -> str:
    """One complaint as it is, several as a list."""
    return found[0] if len(found) == 1 else "errors:\n" + "\n".join("  " + text for text in found)
