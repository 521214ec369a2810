"""The form of every object's metadata. That fields which never change do not change is the registry's to see to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apiserver.validation.field import IMMUTABLE, Errors, Object, size
from machinery.meta import names
from machinery.meta.go_format import go_quote

NameRule = Callable[[str, bool], list[str]]

MAX_ANNOTATION_BYTES = 256 * 1024
MAX_MANAGER_BYTES = 128
_STANDARD_FINALIZERS = frozenset(("kubernetes", "orphan", "foregroundDeletion"))
NOT_QUALIFIED = "name is neither a standard finalizer name nor is it fully qualified"


def name_rule(check: names.NameCheck) -> NameRule:
    """A rule for names and for prefixes of generated ones."""

    def rule(value: str, prefix: bool) -> list[str]:
        return check(names.mask_trailing_dash(value) if prefix else value)

    return rule


SUBDOMAIN = name_rule(names.dns1123_subdomain)
LABEL = name_rule(names.dns1123_label)
SERVICE = name_rule(names.dns1035_label)
PATH_SEGMENT: NameRule = lambda value, prefix: names.path_segment(value)  # noqa: E731


def validate_metadata(
    errors: Errors, obj: Object, namespaced: bool, rule: NameRule = SUBDOMAIN, path: str = "metadata",
    core: bool = True,
) -> None:
    """The whole of it. `core` kinds know finalizers without a domain."""
    meta = obj.get("metadata") or {}
    generated, name = meta.get("generateName") or "", meta.get("name") or ""
    if generated:
        errors.invalid_all(path + ".generateName", generated, rule(generated, True))
    if not name:
        errors.required(path + ".name", "name or generateName is required")
    else:
        errors.invalid_all(path + ".name", name, rule(name, False))
    namespace = meta.get("namespace") or ""
    if namespaced:
        if not namespace:
            errors.required(path + ".namespace")
        else:
            errors.invalid_all(path + ".namespace", namespace, names.dns1123_label(namespace))
    elif namespace:
        errors.forbidden(path + ".namespace", "not allowed on this type")
    errors.not_negative(path + ".generation", meta.get("generation"))
    if meta.get("labels"):
        errors.label_values(path + ".labels", meta["labels"])
    if meta.get("annotations"):
        validate_annotations(errors, path + ".annotations", meta["annotations"])
    if meta.get("ownerReferences"):
        _validate_owners(errors, path + ".ownerReferences", meta["ownerReferences"])
    if meta.get("finalizers"):
        _validate_finalizers(errors, path + ".finalizers", meta["finalizers"])
    _validate_managers(errors, meta, path)
    if core:
        _validate_standard_finalizers(errors, meta, path)


def validate_common(
    errors: Errors, meta: dict[str, Any], path: str = "metadata", finalizers: bool = False,
) -> None:
    """What may change and must keep its form: labels, annotations, owners, finalizers, managed fields."""
    if meta.get("labels"):
        errors.label_values(path + ".labels", meta["labels"])
    if meta.get("annotations"):
        validate_annotations(errors, path + ".annotations", meta["annotations"])
    if meta.get("ownerReferences"):
        _validate_owners(errors, path + ".ownerReferences", meta["ownerReferences"])
    if finalizers and meta.get("finalizers"):
        _validate_finalizers(errors, path + ".finalizers", meta["finalizers"])
    _validate_managers(errors, meta, path)


_KEPT = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")


def validate_metadata_update(errors: Errors, obj: Object, old: Object, core: bool = True) -> None:
    """The second look that most kinds take at an update; the registry takes the first."""
    meta, before = obj["metadata"], old["metadata"]
    if before.get("deletionTimestamp"):
        added = sorted(set(meta.get("finalizers") or ()) - set(before.get("finalizers") or ()))
        if added:
            listed = ", ".join(map(go_quote, added))
            errors.forbidden("metadata.finalizers", "no new finalizers can be added if the object is being deleted, "
                                                    f"found new finalizers []string{{{listed}}}")
    for name in _KEPT:
        if meta.get(name) != before.get(name):
            errors.invalid(f"metadata.{name}", meta.get(name), IMMUTABLE)
    validate_common(errors, meta)
    if core:
        _validate_standard_finalizers(errors, meta, "metadata")


def _validate_managers(errors: Errors, meta: dict[str, Any], path: str) -> None:
    for i, entry in enumerate(meta.get("managedFields") or ()):
        if size(entry.get("manager") or "") > MAX_MANAGER_BYTES:
            errors.too_long(f"{path}.managedFields[{i}].manager", MAX_MANAGER_BYTES)


def validate_annotations(errors: Errors, path: str, annotations: dict[str, str]) -> None:
    total = 0
    for key, value in sorted(annotations.items()):
        errors.invalid_all(path, key, names.qualified_name(key.lower()))
        total += size(key) + size(value or "")
    if total > MAX_ANNOTATION_BYTES:
        errors.too_long(path, MAX_ANNOTATION_BYTES)


def _validate_owners(errors: Errors, path: str, owners: list[dict[str, Any]]) -> None:
    controller = ""
    for owner in owners:
        api_version = owner.get("apiVersion") or ""
        if not api_version.rpartition("/")[2]:
            errors.invalid(path + ".apiVersion", api_version, "version must not be empty")
        for field in ("kind", "name", "uid"):
            if not owner.get(field):
                errors.invalid(f"{path}.{field}", "", "must not be empty")
        if (api_version, owner.get("kind")) == ("v1", "Event"):
            errors.invalid(path, owner, "/v1, Kind=Event is disallowed from being an owner")
        if owner.get("controller"):
            name = f"{owner.get('kind') or ''}/{owner.get('name') or ''}"
            if controller:
                shown = [_owner_fields(each) for each in owners]
                errors.invalid(path, shown, "Only one reference can have Controller set to true. Found \"true\" in "
                                            f"references for {controller} and {name}")
            controller = name


def _owner_fields(owner: dict[str, Any]) -> dict[str, Any]:
    return {key: owner[key] for key in ("apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion")
            if key in owner}


def _validate_finalizers(errors: Errors, path: str, finalizers: list[str]) -> None:
    for finalizer in finalizers:
        errors.invalid_all(path, finalizer, names.qualified_name(finalizer))
    if "orphan" in finalizers and "foregroundDeletion" in finalizers:
        errors.invalid(path, finalizers, "finalizer orphan and foregroundDeletion cannot be both set")


def _validate_standard_finalizers(errors: Errors, meta: dict[str, Any], path: str) -> None:
    for i, finalizer in enumerate(meta.get("finalizers") or ()):
        if "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS:
            errors.invalid(f"{path}.finalizers[{i}]", finalizer, NOT_QUALIFIED)


def shown_selector(selector: dict[str, Any] | None) -> Any:
    """A label selector with its keys in the order of its type."""
    if selector is None:
        return None
    out: dict[str, Any] = {}
    if selector.get("matchLabels"):
        out["matchLabels"] = dict(sorted(selector["matchLabels"].items()))
    if selector.get("matchExpressions"):
        out["matchExpressions"] = [
            {"key": e.get("key") or "", "operator": e.get("operator") or "",
             **({"values": e["values"]} if e.get("values") else {})} for e in selector["matchExpressions"]]
    return out


def validate_selector(errors: Errors, path: str, selector: dict[str, Any] | None) -> None:
    """A label selector in its object form."""
    if selector is None:
        return
    errors.label_values(path + ".matchLabels", selector.get("matchLabels"))
    for i, requirement in enumerate(selector.get("matchExpressions") or ()):
        where = f"{path}.matchExpressions[{i}]"
        operator, values = requirement.get("operator") or "", requirement.get("values") or []
        if operator in ("In", "NotIn"):
            if not values:
                errors.required(where + ".values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                errors.forbidden(
                    where + ".values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                )
        else:
            errors.invalid(where + ".operator", operator, "not a valid selector operator")
        key = requirement.get("key") or ""
        errors.invalid_all(where + ".key", key, names.qualified_name(key))
        for j, value in enumerate(values):
            errors.invalid_all(f"{where}.values[{j}]", value, names.label_value(value))
