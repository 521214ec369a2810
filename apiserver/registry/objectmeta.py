"""The metadata that belongs to the server: what it sets on creation and what nobody may change afterwards. Pure.

``prepare_*`` repair silently, as upstream does for fields that a client merely echoes; ``update_causes`` lists what is
refused out loud.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from machinery.meta.errors import ApiError, bad_request
from machinery.meta.objects import Object

Cause = dict[str, Any]

MAX_GENERATED_BASE = 58
IMMUTABLE = "field is immutable"
NAMESPACE_MISMATCH = "the namespace of the provided object does not match the namespace sent on the request"


def check_namespace(obj: Object, namespace: str, *, namespaced: bool) -> None:
    """The body's namespace must be the URL's or absent. Sets it."""
    meta = obj["metadata"]
    given = meta.get("namespace") or ""
    if not namespaced:
        if given:
            raise bad_request(NAMESPACE_MISMATCH)
        meta.pop("namespace", None)
        return
    if given and given != namespace:
        raise bad_request(NAMESPACE_MISMATCH)
    meta["namespace"] = namespace


def check_name(obj: Object, name: str) -> None:
    """The body's name must be the URL's (update)."""
    given = obj["metadata"].get("name") or ""
    if not given:
        raise bad_request(f"the name of the object ({name} based on URL) was undeterminable: name must be provided")
    if given != name:
        raise bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")


def prepare_create(obj: Object, now: str) -> None:
    """System fields of a new object; what the client sent in them is dropped."""
    meta = obj["metadata"]
    for field in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
        meta.pop(field, None)
    meta["uid"] = str(uuid.uuid4())
    meta["creationTimestamp"] = now


def ordered_metadata(meta: dict[str, Any]) -> dict[str, Any]:
    """The order in which upstream writes metadata: name first, so that people who read raw JSON find it."""
    out = {field: meta[field] for field in _ORDER if field in meta}
    for field, value in meta.items():
        if field not in out and field != "managedFields":
            out[field] = value
    if "managedFields" in meta:
        out["managedFields"] = meta["managedFields"]
    return out


_ORDER = (
    "name", "generateName", "namespace", "selfLink", "uid", "generation", "creationTimestamp", "deletionTimestamp",
    "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences", "finalizers",
)  # fmt: skip


def prepare_update(obj: Object, old: Object) -> None:
    """Fields that a client may leave out or send stale are what they were."""
    meta, before = obj["metadata"], old["metadata"]
    for field in ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"):
        if field in before and not meta.get(field):
            meta[field] = before[field]
    if "generation" in before:
        meta["generation"] = before["generation"]
    else:
        meta.pop("generation", None)
    meta["creationTimestamp"] = before["creationTimestamp"]
    meta["uid"] = meta.get("uid") or before["uid"]


def update_causes(obj: Object, old: Object) -> list[Cause]:
    """Metadata that an update may not change."""
    meta, before = obj["metadata"], old["metadata"]
    causes: list[Cause] = []
    if before.get("deletionTimestamp"):
        added = [name for name in meta.get("finalizers") or () if name not in (before.get("finalizers") or ())]
        if added:
            shown = ", ".join(f'"{name}"' for name in sorted(added))
            causes.append(_cause(
                "FieldValueForbidden", "metadata.finalizers",
                "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers "
                f"[]string{{{shown}}}",
            ))  # fmt: skip
    for field in ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"):
        if meta.get(field) != before.get(field):
            causes.append(immutable(f"metadata.{field}", meta.get(field)))
    return causes


def immutable(path: str, value: Any) -> Cause:
    shown = "null" if value is None else f'"{value}"' if isinstance(value, str) else str(value)
    return _cause("FieldValueInvalid", path, f"Invalid value: {shown}: {IMMUTABLE}")


def _cause(reason: str, path: str, message: str) -> Cause:
    return {"reason": reason, "message": message, "field": path}


def dedup_owner_references(obj: Object) -> bool:
    """Equal references are kept once; True if there were any."""
    references = obj["metadata"].get("ownerReferences")
    if not references or len(references) < 2:
        return False
    kept: list[Any] = []
    for reference in references:
        if reference not in kept:
            kept.append(reference)
    if len(kept) == len(references):
        return False
    obj["metadata"]["ownerReferences"] = kept
    return True


def already_exists_while_deleting(error: ApiError) -> ApiError:
    return ApiError(error.code, error.reason, f"object is being deleted: {error.message}", error.details)


def without(mapping: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key not in names}


def finalizers_of(obj: Object) -> Sequence[str]:
    return obj["metadata"].get("finalizers") or ()


#: Lists that print as null when empty; a client that sends an empty one has nevertheless said something.
_NULLABLE_LISTS = ("rules", "endpoints", "ports")


def empty_lists(obj: Object) -> list[tuple[dict[str, Any], str]]:
    """Where the client wrote ``[]``, to be put back for the moment in which ownership is recorded."""
    found: list[tuple[dict[str, Any], str]] = [(obj, name) for name in _NULLABLE_LISTS if obj.get(name) == []]
    spec = obj.get("spec")
    if isinstance(spec, dict) and spec.get("drivers") == []:
        found.append((spec, "drivers"))
    if obj["metadata"].get("managedFields") == []:
        found.append((obj["metadata"], "managedFields"))
    return found


def put_back(places: list[tuple[dict[str, Any], str]]) -> None:
    for place, name in places:
        place[name] = []
