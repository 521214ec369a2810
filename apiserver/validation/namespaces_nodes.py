"""Namespaces and nodes."""

from __future__ import annotations

import ipaddress

from apiserver.validation.field import Errors, Object
from apiserver.validation.networks import validate_cidr
from apiserver.validation.objectmeta import LABEL, NOT_QUALIFIED, validate_metadata, validate_metadata_update
from apiserver.validation.rules import Rules
from machinery.meta import names

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def create_namespace(errors: Errors, namespace: Object) -> None:
    validate_metadata(errors, namespace, False, LABEL)
    _validate_finalizers(errors, (namespace.get("spec") or {}).get("finalizers") or [])


def _validate_finalizers(errors: Errors, finalizers: list[str]) -> None:
    for finalizer in finalizers:
        errors.invalid_all("spec.finalizers", finalizer, names.qualified_name(finalizer))
        if "/" not in finalizer and finalizer not in ("kubernetes", "orphan", "foregroundDeletion"):
            errors.invalid("spec.finalizers", finalizer, NOT_QUALIFIED)


def update_namespace(errors: Errors, namespace: Object, old: Object, subresource: str) -> None:
    if subresource == "":
        create_namespace(errors, namespace)
    validate_metadata_update(errors, namespace, old)
    if subresource == "finalize":
        _validate_finalizers(errors, (namespace.get("spec") or {}).get("finalizers") or [])
    elif subresource == "status":
        phase = (namespace.get("status") or {}).get("phase")
        if (namespace.get("metadata") or {}).get("deletionTimestamp"):
            if phase != "Terminating":
                errors.invalid(
                    "status.Phase", phase or "", "may only be 'Terminating' if `deletionTimestamp` is not empty"
                )
        elif phase != "Active":
            errors.invalid("status.Phase", phase or "", "may only be 'Active' if `deletionTimestamp` is empty")


def create_node(errors: Errors, node: Object) -> None:
    validate_metadata(errors, node, False)
    spec = node.get("spec") or {}
    if spec.get("taints"):
        validate_taints(errors, "metadata.taints", spec["taints"])
    _validate_cidrs(errors, spec)


def validate_taints(errors: Errors, path: str, taints: list[Object]) -> None:
    seen: set[tuple[str, str]] = set()
    for i, taint in enumerate(taints):
        where = f"{path}[{i}]"
        key, value, effect = taint.get("key") or "", taint.get("value") or "", taint.get("effect") or ""
        errors.invalid_all(where + ".key", key, names.qualified_name(key))
        complaints = names.label_value(value)
        if complaints:
            errors.invalid(where + ".value", value, ";".join(complaints))
        if not effect:
            errors.required(where + ".effect")
        elif effect not in _EFFECTS:
            errors.not_supported(where + ".effect", effect, _EFFECTS)
        if (key, effect) in seen:
            errors.duplicate(where, {"Key": key, "Value": value, "Effect": effect, "TimeAdded": taint.get("timeAdded")})
            errors[-1]["message"] += ": taints must be unique by key and effect pair"
        seen.add((key, effect))


def _pod_cidrs(spec: Object) -> list[str]:
    """The one field that the two are: podCIDR is the first of podCIDRs, and wins when they differ."""
    one, many = spec.get("podCIDR") or "", spec.get("podCIDRs") or []
    return [one] if one and (not many or many[0] != one) else many


def _validate_cidrs(errors: Errors, spec: Object) -> None:
    cidrs = _pod_cidrs(spec)
    fine = True
    for i, cidr in enumerate(cidrs):
        fine = validate_cidr(errors, f"spec.podCIDRs[{i}]", cidr) and fine
    if fine and len(cidrs) > 1:
        families = {ipaddress.ip_network(cidr, strict=False).version for cidr in cidrs}
        if len(families) < len(cidrs):
            errors.invalid("spec.podCIDRs", cidrs, "may specify no more than one CIDR for each IP family")


def update_node(errors: Errors, node: Object, old: Object, subresource: str) -> None:
    if subresource == "":
        create_node(errors, node)
    validate_metadata_update(errors, node, old)
    spec, before = node.get("spec") or {}, old.get("spec") or {}
    if spec.get("taints"):
        validate_taints(errors, "metadata.taints", spec["taints"])
    was, now = _pod_cidrs(before), _pod_cidrs(spec)
    if was and was != now:
        errors.forbidden("spec.podCIDRs", "node updates may not change podCIDR except from \"\" to valid")
    if before.get("providerID") and before["providerID"] != spec.get("providerID"):
        errors.forbidden("spec.providerID", "node updates may not change providerID except from \"\" to valid")


RULES = {
    ("", "Namespace"): Rules(create_namespace, update_namespace),
    ("", "Node"): Rules(create_node, update_node),
}
