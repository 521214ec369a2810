"""Strategic merge patch: a merge patch that knows which lists are really maps.

The schema says how a list merges (`patchStrategy: merge` with a merge key) and which maps are replaced; directives
in the patch say the rest: `$patch` (replace, delete), `$deleteFromPrimitiveList/<field>`,
`$setElementOrder/<field>` and `$retainKeys`. The order of the result follows the patch where the patch speaks of an
element and the server where it does not; an element that only the patch has comes before the server's, unless an
order is given.

Nothing is changed in place: a merged map or list is new, the rest is shared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from machinery.meta.errors import ApiError
from machinery.meta.go_format import go_value
from machinery.meta.patches.json_patch import json_equal
from machinery.meta.schema_node import SchemaNode

_PATCH = "$patch"
_RETAIN_KEYS = "$retainKeys"
_DELETE_FROM = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"

Map = dict[str, Any]


def _failure(message: str) -> ApiError:
    """Patches that make no sense are the server's failure in upstream's eyes, not the client's."""
    return ApiError(500, "", message)


def _no_merge_key(element: Any, merge_key: str) -> ApiError:
    return _failure(f"map: {go_value(element)} does not contain declared merge key: {merge_key}")


def apply_strategic_merge(document: Map, patch: Map, schema: SchemaNode | None) -> Map:
    """The document as the patch wants it."""
    return _merge_map(document, patch, schema)


def _child(schema: SchemaNode | None, key: str) -> SchemaNode | None:
    if schema is None:
        return None
    node: SchemaNode | None = (schema.properties or {}).get(key) or schema.additional_properties
    return node


def _strategies(schema: SchemaNode | None) -> Sequence[str]:
    return schema.patch_strategy.split(",") if schema is not None else ()


def _merges_by(schema: SchemaNode | None) -> tuple[bool, str]:
    """Whether a list merges, and its merge key (empty for lists of plain values)."""
    return "merge" in _strategies(schema), schema.patch_merge_key if schema is not None else ""


def _merge_map(original: Map, patch: Map, schema: SchemaNode | None) -> Map:
    if _PATCH in patch:
        directive = patch[_PATCH]
        if directive == "replace":
            return {key: value for key, value in patch.items() if key != _PATCH}
        if directive == "delete":
            return {}
        raise _failure(f"unknown patch type: {go_value(directive)} in map: {go_value(patch)}")
    result = dict(original)
    left = dict(patch)
    if _RETAIN_KEYS in left:
        _retain_keys(result, left)
    _merge_ordered_lists(result, left, schema)
    for key, value in left.items():
        deleting = key.startswith(_DELETE_FROM)
        name = key[len(_DELETE_FROM):] if deleting else key
        if value is None:
            result.pop(name, None)
            continue
        current = result.get(name)
        node = _child(schema, name)
        if isinstance(current, dict) and isinstance(value, dict):
            result[name] = _merge_field(current, value, node)
        elif isinstance(current, list) and isinstance(value, list):
            merges, merge_key = _merges_by(node)
            if deleting or merges:
                result[name] = _merge_list(current, value, node, merge_key, deleting)
            else:
                result[name] = value
        elif not deleting:
            result[name] = _as_new(value)
    return result


def _merge_field(current: Map, value: Map, node: SchemaNode | None) -> Map:
    return value if "replace" in _strategies(node) else _merge_map(current, value, node)


def _as_new(value: Any) -> Any:
    """A patch value that meets nothing: taken as it is, without its nulls and directives."""
    if isinstance(value, dict):
        return {
            key: _as_new(inner) for key, inner in value.items()
            if inner is not None and key not in (_PATCH, _RETAIN_KEYS) and not key.startswith((_DELETE_FROM, _ORDER))
            and not (isinstance(inner, dict) and inner.get(_PATCH) == "delete")
        }
    if isinstance(value, list):
        return [_as_new(item) for item in value if not (isinstance(item, dict) and item.get(_PATCH) == "delete")]
    return value


def _retain_keys(result: Map, patch: Map) -> None:
    keep = patch.pop(_RETAIN_KEYS)
    if not isinstance(keep, list):
        raise _failure("invalid patch format of retainKeys")
    for key, value in patch.items():
        if value is not None and not key.startswith((_DELETE_FROM, _ORDER)) and key not in keep:
            raise _failure("invalid patch format of retainKeys")
    for key in [key for key in result if key not in keep]:
        del result[key]


def _merge_ordered_lists(result: Map, patch: Map, schema: SchemaNode | None) -> None:
    """Lists with a `$setElementOrder` of their own: merged here and taken out of the patch."""
    for directive in [key for key in patch if key.startswith(_ORDER)]:
        order = patch.pop(directive)
        if not isinstance(order, list):
            raise _failure("invalid patch format of setElementOrder list")
        name = directive[len(_ORDER):]
        original, changes = result.get(name), patch.get(name)
        if not isinstance(original, list | None) or not isinstance(changes, list | None):
            raise _failure("invalid patch format of setElementOrder list")
        node = _child(schema, name)
        merges, merge_key = _merges_by(node)
        if changes:
            _check_order(changes, order, merge_key)
        if changes is None:
            if original is None or name in patch:
                continue
            merged = original
        elif original is None:
            merged = _as_new(changes)
        else:
            merged = _merge_list(original, changes, node, merge_key, False) if merges else changes
        spoken, silent = _split(merged, order, merge_key)
        result[name] = _in_order(spoken, silent, order, original or [], merge_key)
        patch.pop(name, None)


def _check_order(changes: list[Any], order: list[Any], merge_key: str) -> None:
    kept = [item for item in changes if not (isinstance(item, dict) and item.get(_PATCH) == "delete")]
    same = _sameness(merge_key)
    at = 0
    for wanted in order:
        if at < len(kept) and same(kept[at], wanted):
            at += 1
    if at < len(kept):
        raise _failure(f"The order in patch list:\n{go_value(changes)}\n doesn't match $setElementOrder list:\n"
                       f"{go_value(order)}\n")


def _sameness(merge_key: str) -> Callable[[Any, Any], bool]:
    """When two elements are one: equal merge keys, or equal values in lists of plain values."""
    if not merge_key:
        return json_equal

    def same(a: Any, b: Any) -> bool:
        for element in (a, b):
            if not isinstance(element, dict) or merge_key not in element:
                raise _no_merge_key(element, merge_key)
        return bool(a[merge_key] == b[merge_key])

    return same


def _merge_list(
    original: list[Any], patch: list[Any], node: SchemaNode | None, merge_key: str, deleting: bool,
) -> list[Any]:
    if not original and not patch:
        return original
    kinds = {_kind(item) for item in original} | {_kind(item) for item in patch}
    if len(kinds) > 1:
        raise _failure(f"list element types are not identical: {go_value([original, patch])}")
    if kinds != {"map"}:
        if deleting:
            return [item for item in original if not any(json_equal(item, gone) for gone in patch)]
        merged: list[Any] = []
        for item in original + patch:
            if not any(json_equal(item, seen) for seen in merged):
                merged.append(item)
        merge_key = ""
    else:
        if not merge_key:
            raise _failure("cannot merge lists without merge key for "
                           f"{node.name if node is not None else 'unknown'}")
        original, patch = _special_elements(original, patch, merge_key)
        merged = _merge_elements(original, patch, node.items if node is not None else None, merge_key)
    spoken, silent = _split(merged, patch, merge_key)
    return _in_order(spoken, silent, patch, original, merge_key)


def _kind(item: Any) -> str:
    return "map" if isinstance(item, dict) else "list" if isinstance(item, list) else type(item).__name__


def _special_elements(original: list[Any], patch: list[Any], merge_key: str) -> tuple[list[Any], list[Any]]:
    """Carry out `$patch` in elements; what is left of both lists."""
    plain, replace = [], False
    for element in patch:
        directive = element.get(_PATCH)
        if directive is None:
            plain.append(element)
        elif directive == "delete":
            if merge_key not in element:
                raise _no_merge_key(element, merge_key)
            original = [item for item in original if item.get(merge_key) != element[merge_key]]
        elif directive == "replace":
            replace = True
        elif directive == "merge":
            raise _failure("merging lists cannot yet be specified in the patch")
        else:
            raise _failure(f"unknown patch type: {go_value(directive)} in map: {go_value(element)}")
    return ([], plain) if replace else (original, plain)


def _merge_elements(
    original: list[Any], patch: list[Any], node: SchemaNode | None, merge_key: str,
) -> list[Any]:
    merged = list(original)
    for element in patch:
        if merge_key not in element:
            raise _no_merge_key(element, merge_key)
        for i, item in enumerate(merged):
            if item.get(merge_key) == element[merge_key]:
                merged[i] = _merge_map(item, element, node)
                break
        else:
            merged.append(_as_new(element))
    return merged


def _split(merged: list[Any], spoken_of: list[Any], merge_key: str) -> tuple[list[Any], list[Any]]:
    """The elements that a list names, and the others."""
    same = _sameness(merge_key)
    named: list[Any] = []
    others: list[Any] = []
    for item in merged:
        (named if any(same(item, other) for other in spoken_of) else others).append(item)
    return named, others


def _in_order(
    spoken: list[Any], silent: list[Any], order: list[Any], server: list[Any], merge_key: str,
) -> list[Any]:
    """Elements the patch speaks of in its order, woven into the server's own."""
    same = _sameness(merge_key)

    def place(item: Any, among: list[Any]) -> int:
        return next((i for i, other in enumerate(among) if same(item, other)), -1)

    left = sorted(silent, key=lambda item: place(item, server))
    right = sorted(spoken, key=lambda item: place(item, order))
    woven: list[Any] = []
    i = j = 0
    while i < len(left) and j < len(right):
        a, b = place(left[i], server), place(right[j], server)
        if 0 <= a < b:
            woven.append(left[i])
            i += 1
        else:
            woven.append(right[j])
            j += 1
    return woven + left[i:] + right[j:]
