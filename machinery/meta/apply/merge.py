"""Objects changed by field sets: a configuration merged into the live object, and fields taken out of it."""

from __future__ import annotations

from typing import Any

from machinery.meta.apply.fieldset import FieldSet, is_member
from machinery.meta.apply.shape import Shape, Way


def merge(shape: Shape, live: Any, config: Any) -> Any:
    """The live value with the configuration's laid over it. Neither is changed."""
    way = shape.way
    if way is Way.ANY:
        way = Way.MAP if isinstance(config, dict) and isinstance(live, dict) else Way.LEAF
    if way is Way.LEAF or live is None:
        return config
    if config is None:
        return live
    if isinstance(live, dict) and isinstance(config, dict):
        out = dict(live)
        for name, value in config.items():
            out[name] = merge(shape.field(name)[1], live[name], value) if name in live else value
        return out
    if isinstance(live, list) and isinstance(config, list):
        return _merge_lists(shape, live, config)
    return config


def _merge_lists(shape: Shape, live: list[Any], config: list[Any]) -> list[Any]:
    """Elements in an order both lists can recognise: the live one's, broken only where the configuration speaks."""
    left, right = [shape.element(item) for item in live], [shape.element(item) for item in config]
    by_left = dict(zip(reversed(left), reversed(live), strict=True))
    by_right = dict(zip(right, config, strict=True))
    shared = [key for key in right if key in by_left]
    next_shared = 0
    merged: set[str] = set()
    out: list[Any] = []
    i = j = 0
    while i < len(left) or j < len(right):
        wanted = shared[next_shared] if next_shared < len(shared) else None
        if i < len(left) and j < len(right):
            key = left[i]
            if key == right[j]:
                merged.add(key)
                out.append(merge(shape.items, live[i], config[j]))
                if key == wanted:
                    next_shared += 1
                i += 1
                j += 1
                continue
            if key in by_right and wanted is not None and wanted != key:
                i += 1  # shared, but its turn comes when the configuration names it
                continue
        if i < len(left):
            key = left[i]
            if key not in by_right:
                out.append(live[i])
                i += 1
                continue
            if key in merged:
                i += 1
        if j < len(right):
            key = right[j]
            merged.add(key)
            out.append(merge(shape.items, by_left[key], config[j]) if key in by_left else config[j])
            j += 1
            if key == wanted:
                next_shared += 1
    return out


def remove(shape: Shape, value: Any, fields: FieldSet, keep_emptied: bool = False) -> Any:
    """The value without the fields of a set. What is emptied by that goes, too, or stays as null."""
    if not fields or shape.way is Way.LEAF or not value:
        return value
    if isinstance(value, dict):
        out: dict[str, Any] = {}
        for name, inner in value.items():
            key, child = shape.field(name)
            gone = fields.get(key)
            if gone is None:
                out[name] = inner
            elif not is_member(gone):
                left = remove(child, inner, gone, keep_emptied)
                if left is not None or keep_emptied:
                    out[name] = left
        return out or None
    if isinstance(value, list):
        if shape.way is Way.ANY:
            return value
        items: list[Any] = []
        for item in value:
            gone = fields.get(shape.element(item))
            if gone is None:
                items.append(item)
            elif not is_member(gone):
                items.append(remove(shape.items, item, gone, keep_emptied))
        return items or None
    return value
