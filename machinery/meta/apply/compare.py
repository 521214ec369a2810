"""What changed between two objects, and what a configuration speaks of, as sets of fields."""

from __future__ import annotations

from typing import Any, NamedTuple

from machinery.meta.apply.fieldset import SELF, FieldSet, union
from machinery.meta.apply.shape import Shape, Way


class Comparison(NamedTuple):
    added: FieldSet
    removed: FieldSet
    modified: FieldSet

    @property
    def same(self) -> bool:
        return not (self.added or self.removed or self.modified)


_Part = FieldSet | None
_SAME: tuple[_Part, _Part, _Part] = (None, None, None)
_MODIFIED: tuple[_Part, _Part, _Part] = (None, None, {})


def compare(old: dict[str, Any], new: dict[str, Any], shape: Shape) -> Comparison:
    """Compare two objects. A field that is null counts as being there, without anything below it."""
    added, removed, modified = _compare(shape, old, new)
    return Comparison(added or {}, removed or {}, modified or {})


def everything(shape: Shape, value: Any) -> FieldSet:
    """The field itself and all below it: what is added when there was nothing, or removed when nothing is left."""
    way = shape.way
    if way is Way.LEAF or not value:
        return {}
    if way is Way.ANY:
        way = Way.MAP if isinstance(value, dict) else Way.LEAF
    if way is Way.STRUCT or way is Way.MAP:
        if not isinstance(value, dict):
            return {}
        out: FieldSet = {SELF: {}}
        field = shape.field
        for name, inner in value.items():
            key, child = field(name)
            out[key] = {} if child.way is Way.LEAF else everything(child, inner)
        return out
    if way is Way.LEAF or not isinstance(value, list):
        return {}
    out = {SELF: {}}
    for item in value:
        key = shape.element(item)
        # A key that occurs twice is owned as such: nobody can say which of its values is meant.
        out[key] = {} if key in out else everything(shape.items, item)
    return out


def _below(fields: FieldSet) -> _Part:
    """Without the field itself; None when nothing is left."""
    left = {key: child for key, child in fields.items() if key != SELF}
    return left or None


def _compare(shape: Shape, old: Any, new: Any) -> tuple[_Part, _Part, _Part]:
    if old is new or (old == new and type(old) is type(new)):
        return _SAME
    way = shape.way
    if way is Way.ANY:
        if isinstance(old, dict) and isinstance(new, dict):
            way = Way.MAP
        else:
            return _MODIFIED
    if way is Way.LEAF:
        return _SAME if old == new and not isinstance(old, bool) and not isinstance(new, bool) else _MODIFIED
    if not old and not new:
        return _MODIFIED  # null against empty
    if old is None:
        return _below(everything(shape, new)), None, None
    if new is None:
        return None, _below(everything(shape, old)), None
    if isinstance(old, dict) and isinstance(new, dict):
        return _compare_maps(shape, old, new)
    if isinstance(old, list) and isinstance(new, list):
        return _compare_lists(shape, old, new)
    return _MODIFIED


def _compare_maps(shape: Shape, old: Any, new: Any) -> tuple[_Part, _Part, _Part]:
    added: FieldSet = {}
    removed: FieldSet = {}
    modified: FieldSet = {}
    for name, value in new.items():
        if name not in old:
            key, child = shape.field(name)
            added[key] = everything(child, value)
            continue
        before = old[name]
        if before is value or (before == value and type(before) is type(value)):
            continue
        key, child = shape.field(name)
        more, less, changed = _compare(child, before, value)
        if more is not None:
            added[key] = more
        if less is not None:
            removed[key] = less
        if changed is not None:
            modified[key] = changed
    for name, value in old.items():
        if name not in new:
            key, child = shape.field(name)
            removed[key] = everything(child, value)
    return added or None, removed or None, modified or None


def _grouped(shape: Shape, items: list[Any]) -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = {}
    for item in items:
        groups.setdefault(shape.element(item), []).append(item)
    return groups


def _compare_lists(shape: Shape, old: list[Any], new: list[Any]) -> tuple[_Part, _Part, _Part]:
    added: FieldSet = {}
    removed: FieldSet = {}
    modified: FieldSet = {}
    before, after = _grouped(shape, old), _grouped(shape, new)
    for key, items in after.items():
        there = before.get(key)
        if there is None:
            added[key] = everything(shape.items, items[0]) if len(items) == 1 else {}
        elif len(items) == 1 and len(there) == 1:
            more, less, changed = _compare(shape.items, there[0], items[0])
            if more is not None:
                added[key] = more
            if less is not None:
                removed[key] = less
            if changed is not None:
                modified[key] = changed
        elif items != there:
            modified[key] = {}
            if len(items) == 1:
                added[key] = everything(shape.items, items[0])
    for key, items in before.items():
        if key not in after:
            removed[key] = everything(shape.items, items[0]) if len(items) == 1 else {}
    return added or None, removed or None, modified or None


def field_set(shape: Shape, value: Any) -> FieldSet:
    """What an applied configuration speaks of: leaves, keys of maps, elements of lists; not the structs around them."""
    return _field_set(shape, value) or {}


def _field_set(shape: Shape, value: Any) -> _Part:
    way = shape.way
    if way is Way.ANY:
        way = Way.MAP if isinstance(value, dict) else Way.LEAF
    if way is Way.LEAF:
        return {}
    out: FieldSet = {}
    if isinstance(value, dict):
        for name, inner in value.items():
            key, child = shape.field(name)
            below = _field_set(child, inner)
            if inner is None or inner == {}:
                out[key] = {}
            elif shape.declares(name):
                if below is not None:
                    out[key] = below
            else:
                out[key] = {SELF: {}, **below} if below else {}
    elif isinstance(value, list):
        for item in value:
            key = shape.element(item)
            below = _field_set(shape.items, item)
            mine = {SELF: {}, **below} if below else {}
            out[key] = union(out[key], mine) if key in out else mine
    return out or None


def with_parents(fields: FieldSet, shape: Shape) -> FieldSet:
    """The set in which every declared field with something below it is a member, too."""
    out: FieldSet = {}
    for key, child in fields.items():
        if key == SELF or not child:
            out[key] = child
            continue
        if key[0] == "f":
            inner = shape.field(key[2:])[1]
            below = with_parents(child, inner)
            out[key] = {SELF: {}, **below} if shape.declares(key[2:]) else below
        else:
            out[key] = with_parents(child, shape.items)
    return out
