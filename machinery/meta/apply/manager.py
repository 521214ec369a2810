"""Field ownership across writes: the two entry points of this package.

Every plain write (`update_managed_fields`) takes over the fields it changed and takes from everyone the fields it
changed or removed. An apply (`apply_object`) states all the fields its manager cares for: it conflicts where it
would change what others own, and drops what it used to own, no longer names, and nobody else owns.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from hashlib import blake2b
from typing import Any, Final

import orjson

from machinery.meta.apply.client_side import KUBECTL, adopted_fields, refresh_annotation
from machinery.meta.apply.compare import Comparison, compare, field_set, with_parents
from machinery.meta.apply.conflicts import Conflicts, conflict_error
from machinery.meta.apply.entries import (
    APPLY,
    UPDATE,
    Entry,
    Owner,
    Owners,
    fold_updates,
    owner,
    read_entries,
    write_entries,
)
from machinery.meta.apply.fieldset import FieldSet, difference, intersection, union, without
from machinery.meta.apply.merge import merge, remove
from machinery.meta.apply.shape import Shape, shape_of
from machinery.meta.apply.typed import complaints, summary
from machinery.meta.apply.zero import zero_object
from machinery.meta.errors import ApiError, bad_request
from machinery.meta.schema_node import SchemaNode

Object = dict[str, Any]

BEFORE_FIRST_APPLY: Final = "before-first-apply"

#: Identity and bookkeeping: nobody owns these.
_UNOWNED_ROOT: Final = frozenset(("apiVersion", "kind"))
_UNOWNED_METADATA: Final = frozenset((
    "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields",
    "resourceVersion"))
#: Versions of one kind that are served side by side; entries in any of them are kept.
_SIBLING_VERSIONS: Final = (
    frozenset(("autoscaling/v1", "autoscaling/v2")), frozenset(("v1", "events.k8s.io/v1")))
_NOTHING: Final = Comparison({}, {}, {})


def _owned_part(obj: Object, ignored: FieldSet) -> Object:
    """The object without what nobody owns and what this request ignores as a whole."""
    out: Object = {}
    for key, value in obj.items():
        if key in _UNOWNED_ROOT or ("f:" + key in ignored and not ignored["f:" + key]):
            continue
        if key == "metadata":
            value = {name: inner for name, inner in (value or {}).items() if name not in _UNOWNED_METADATA}
            if not value:
                continue
        out[key] = value
    return out


def _compare(old: Object, new: Object, shape: Shape, ignored: FieldSet) -> Comparison:
    before, after = _owned_part(old, ignored), _owned_part(new, ignored)
    # Metadata is always there, so it is never itself added or removed.
    if "metadata" in after:
        before.setdefault("metadata", {})
    elif "metadata" in before:
        after["metadata"] = {}
    if before == after:
        return _NOTHING
    found = compare(before, after, shape)
    if any(ignored.values()):
        return Comparison(*(without(part, ignored) for part in found))
    return found


def _is_reset(raw: Any) -> bool:
    """`[]` and `[{}]` ask for tracking to end."""
    return isinstance(raw, list) and (not raw or raw == [{}])


def _known_versions(api_version: str, served: Collection[str] | None) -> Collection[str]:
    if served is not None:
        return served
    return next((group for group in _SIBLING_VERSIONS if api_version in group), (api_version,))


def _starting_owners(live: Object | None, new: Object, subresource: str) -> Owners:
    """The entries a write starts from: those it brings if they make sense, else the stored ones."""
    if live is None:
        return {}
    stored = (live.get("metadata") or {}).get("managedFields")
    brought = (new.get("metadata") or {}).get("managedFields")
    if subresource:
        return read_entries(stored) or {}
    if _is_reset(brought):
        return {}
    if brought and brought != stored:
        owners = read_entries(brought, check=True)
        if owners:
            return owners
    return read_entries(stored) or {}


def update_managed_fields(
    live: Object | None, new: Object, *, manager: str, api_version: str, schema: SchemaNode, time: str,
    subresource: str = "", ignored: FieldSet | None = None, served_versions: Collection[str] | None = None,
    built_in: bool = True,
) -> list[dict[str, Any]]:
    """managedFields of an object after a create (`live` is None), an update, or a patch that is no apply.

    `new` is the object as decoded and defaulted, before anything of the server's own is filled in; `ignored` what the
    request may not touch (`reset_fields`). An object that is not tracked stays so: the answer is then empty.
    """
    if live is None and not subresource:
        return _first_entries(new, manager, api_version, schema, time, ignored or {}, served_versions, built_in)
    owners = _starting_owners(live, new, subresource)
    if live is not None and not owners:
        return []
    base = live if live is not None else zero_object(str(new.get("kind", "")), built_in)
    _record_update(
        base, new, owners, owner(manager, UPDATE, api_version, subresource), api_version, shape_of(schema), time,
        ignored or {}, _known_versions(api_version, served_versions))
    fold_updates(owners)
    return write_entries(owners)


#: What a creation owns depends on the object's bytes alone, and objects come in series: remembered by digest.
_first: OrderedDict[bytes, bytes] = OrderedDict()
_REMEMBERED: Final = 512


def _first_entries(
    new: Object, manager: str, api_version: str, schema: SchemaNode, time: str, ignored: FieldSet,
    served_versions: Collection[str] | None, built_in: bool,
) -> list[dict[str, Any]]:
    """The entries of an object that is created by a plain write: one, of everything that was sent and defaulted."""
    kind = str(new.get("kind", ""))
    owned = _owned_part(new, ignored)
    told = orjson.dumps([owned, manager, api_version, kind, id(schema), built_in, ignored])
    digest = blake2b(told, digest_size=16).digest()
    kept = _first.get(digest)
    if kept is None:
        owners: Owners = {}
        _record_update(
            zero_object(kind, built_in), new, owners, owner(manager, UPDATE, api_version, ""), api_version,
            shape_of(schema), time, ignored, _known_versions(api_version, served_versions))
        kept = _first[digest] = orjson.dumps(write_entries(owners))
        if len(_first) > _REMEMBERED:
            _first.popitem(last=False)
    else:
        _first.move_to_end(digest)
    entries: list[dict[str, Any]] = orjson.loads(kept)
    for entry in entries:
        entry["time"] = time
    return entries


def _record_update(
    live: Object, new: Object, owners: Owners, writer: Owner, api_version: str, shape: Shape, time: str,
    ignored: FieldSet, served: Collection[str],
) -> None:
    found = _compare(live, new, shape, ignored)
    _settle(owners, found, None, served)
    taken = union(found.modified, found.added)
    if not taken:
        return
    previous = owners.get(writer)
    owners[writer] = Entry(taken if previous is None else union(taken, previous.fields), api_version, time)


def _settle(owners: Owners, found: Comparison, spare: Owner | None, served: Collection[str]) -> None:
    """Take what was changed or removed from everyone but `spare`; forget owners that are left with nothing."""
    changed = union(found.modified, found.added)
    for key in list(owners):
        if key == spare:
            continue
        entry = owners[key]
        if entry.api_version not in served:
            del owners[key]
            continue
        fields = entry.fields
        if changed:
            fields = difference(fields, changed)
        if found.removed:
            fields = difference(fields, found.removed)
        if not fields:
            del owners[key]
        elif fields is not entry.fields:
            owners[key] = Entry(fields, entry.api_version, entry.time)


def apply_object(
    live: Object | None, config: Object, *, manager: str, api_version: str, schema: SchemaNode, time: str,
    force: bool = False, subresource: str = "", ignored: FieldSet | None = None,
    served_versions: Collection[str] | None = None, built_in: bool = True,
) -> tuple[Object, list[dict[str, Any]], bool]:
    """Server-side apply: the object it makes (before defaults), its managedFields, and whether a value changed.

    Raises the 400s and 500s of configurations that make no sense and the 409 that lists all conflicts.
    """
    metadata = config.get("metadata") or {}
    if metadata.get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
    shape = shape_of(schema)
    found = complaints(shape, config)
    if found:
        named = f"({metadata.get('namespace') or ''}/{metadata.get('name') or ''}; {_group_version_kind(config)})"
        raise ApiError(500, "", f"failed to create typed patch object {named}: {summary(found)}")
    kind = str(config.get("kind", ""))
    owners = read_entries((live.get("metadata") or {}).get("managedFields")) if live is not None else {}
    owners = owners or {}
    served = _known_versions(api_version, served_versions)
    reset = ignored or {}
    base: Object = live if live is not None else {
        "apiVersion": config.get("apiVersion"), "kind": config.get("kind"), **zero_object(kind, built_in)}
    if not owners and live is not None:
        # Whatever is there was put there by someone before ownership was tracked.
        first = owner(BEFORE_FIRST_APPLY, UPDATE, api_version, subresource)
        _record_update(zero_object(kind, built_in), live, owners, first, api_version, shape, time, reset, served)
    writer = owner(manager, APPLY, api_version, subresource)
    try:
        result = _apply(base, config, owners, writer, api_version, shape, reset, served, force)
    except Conflicts as conflicts:
        if manager != KUBECTL or live is None:
            raise conflict_error(conflicts.found) from None
        left = conflicts.beyond(adopted_fields(live, shape))
        if left:
            raise conflict_error(left) from None
        result = _apply(base, config, owners, writer, api_version, shape, reset, served, True)
    merged, settled, changed = result
    if changed or live is None:
        if writer in settled:
            settled[writer].time = time
    if manager == KUBECTL:
        merged = refresh_annotation(merged, config)
    return merged, write_entries(settled), changed or live is None


def _apply(
    live: Object, config: Object, owners: Owners, writer: Owner, api_version: str, shape: Shape, ignored: FieldSet,
    served: Collection[str], force: bool,
) -> tuple[Object, Owners, bool]:
    owners = {key: Entry(entry.fields, entry.api_version, entry.time) for key, entry in owners.items()}
    merged = merge(shape, live, config)
    last = owners.get(writer)
    fields = field_set(shape, _owned_part(config, ignored))
    if ignored:
        fields = without(fields, ignored)
    owners[writer] = Entry(fields, api_version, last.time if last else None)
    if last is not None and last.fields:
        merged = _prune(merged, last.fields, owners, shape)
    found = _compare(live, merged, shape, ignored)
    changed_fields = union(found.modified, found.added)
    if not force and changed_fields:
        clashes = {
            key: clash for key, entry in owners.items()
            if key != writer and entry.api_version in served and (clash := intersection(entry.fields, changed_fields))}
        if clashes:
            raise Conflicts({key: (clash, owners[key].api_version) for key, clash in clashes.items()})
    _settle(owners, found, writer, served)
    if not owners[writer].fields:
        del owners[writer]
    return merged, owners, not found.same


def _prune(merged: Object, last: FieldSet, owners: Owners, shape: Shape) -> Object:
    """Take out what the manager used to own and nobody owns now."""
    dropped = with_parents(last, shape)
    pruned = remove(shape, merged, dropped, keep_emptied=True) or {}
    all_fields = with_parents(field_set(shape, merged), shape)
    kept = with_parents(field_set(shape, pruned), shape)
    owned: FieldSet = {}
    for entry in owners.values():
        owned = union(owned, entry.fields)
    # What someone owns comes back. What nobody owned before stays, unless the manager's removal left it dangling.
    gone = difference(all_fields, union(kept, with_parents(owned, shape)))
    pruned = remove(shape, merged, gone, keep_emptied=True) or {}
    kept = with_parents(field_set(shape, pruned), shape)
    dangling = intersection(difference(all_fields, kept), dropped)
    return remove(shape, merged, dangling) or {}


def _group_version_kind(obj: Object) -> str:
    group, _, version = str(obj.get("apiVersion") or "").rpartition("/")
    return f"{group}/{version}, Kind={obj.get('kind') or ''}"
