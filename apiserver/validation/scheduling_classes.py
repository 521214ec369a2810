"""PriorityClasses, RuntimeClasses and Leases: small kinds that others refer to."""

from __future__ import annotations

from apiserver.validation.field import Errors, Object
from apiserver.validation.objectmeta import SUBDOMAIN, validate_metadata, validate_metadata_update
from apiserver.validation.pods.resources import validate_amount, validate_container_resource_name
from apiserver.validation.pods.scheduling import validate_tolerations
from apiserver.validation.rules import Rules
from machinery.meta import names

_HIGHEST_USER_PRIORITY = 1_000_000_000
_SYSTEM = {"system-node-critical": 2000001000, "system-cluster-critical": 2000000000}


def create_priority(errors: Errors, entry: Object) -> None:
    validate_metadata(errors, entry, False, SUBDOMAIN)
    name, value = (entry.get("metadata") or {}).get("name") or "", entry.get("value") or 0
    if name.startswith("system-"):
        if _SYSTEM.get(name) != value:
            errors.forbidden(
                "metadata.name", "priority class names with 'system-' prefix are reserved for system use only. error: "
                                 f"{name} is not a known system priority class")
    elif value > _HIGHEST_USER_PRIORITY:
        errors.forbidden("value", f"maximum allowed value of a user defined priority is {_HIGHEST_USER_PRIORITY}")
    policy = entry.get("preemptionPolicy")
    if policy is not None:
        if not policy:
            errors.required("preemptionPolicy")
        elif policy not in ("PreemptLowerPriority", "Never"):
            errors.not_supported("preemptionPolicy", policy, ("PreemptLowerPriority", "Never"))


def update_priority(errors: Errors, entry: Object, old: Object, subresource: str) -> None:
    validate_metadata_update(errors, entry, old)
    if (entry.get("value") or 0) != (old.get("value") or 0):
        errors.forbidden("value", "may not be changed in an update.")
    errors.immutable("preemptionPolicy", entry.get("preemptionPolicy"), old.get("preemptionPolicy"))


def create_runtime(errors: Errors, entry: Object) -> None:
    validate_metadata(errors, entry, False, SUBDOMAIN)
    handler = entry.get("handler") or ""
    if not handler:
        errors.required("handler")
    else:
        errors.invalid_all("handler", handler, names.dns1123_label(handler))
    for resource, amount in sorted(((entry.get("overhead") or {}).get("podFixed") or {}).items()):
        where = f"overhead.limits[{resource}]"
        validate_container_resource_name(errors, where, resource)
        validate_amount(errors, where, resource, amount)
    scheduling = entry.get("scheduling") or {}
    if scheduling.get("nodeSelector"):
        errors.label_values("scheduling.nodeSelector", scheduling["nodeSelector"])
    tolerations = scheduling.get("tolerations") or []
    validate_tolerations(errors, "scheduling.tolerations", tolerations)
    for i, toleration in enumerate(tolerations):
        if toleration in tolerations[:i]:
            errors.duplicate(f"scheduling.tolerations[{i}]", {
                "Key": toleration.get("key") or "", "Operator": toleration.get("operator") or "",
                "Value": toleration.get("value") or "", "Effect": toleration.get("effect") or "",
                "TolerationSeconds": toleration.get("tolerationSeconds")})


def update_runtime(errors: Errors, entry: Object, old: Object, subresource: str) -> None:
    create_runtime(errors, entry)
    validate_metadata_update(errors, entry, old)
    errors.immutable("handler", entry.get("handler") or "", old.get("handler") or "")


def create_lease(errors: Errors, lease: Object) -> None:
    validate_metadata(errors, lease, True, SUBDOMAIN)
    _lease(errors, lease)


def _lease(errors: Errors, lease: Object) -> None:
    spec = lease.get("spec") or {}
    seconds, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    if seconds is not None and seconds <= 0:
        errors.invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0")
    if transitions is not None and transitions < 0:
        errors.invalid("spec.leaseTransitions", transitions, "must be greater than or equal to 0")
    strategy = spec.get("strategy")
    if strategy is not None:
        errors.invalid_all("spec.strategy", strategy, names.qualified_name(strategy))
    preferred = spec.get("preferredHolder")
    if preferred and not strategy:
        errors.forbidden("spec.preferredHolder", "may only be specified if `strategy` is defined")


def update_lease(errors: Errors, lease: Object, old: Object, subresource: str) -> None:
    validate_metadata_update(errors, lease, old)
    _lease(errors, lease)


RULES = {
    ("scheduling.k8s.io", "PriorityClass"): Rules(create_priority, update_priority),
    ("node.k8s.io", "RuntimeClass"): Rules(create_runtime, update_runtime),
    ("coordination.k8s.io", "Lease"): Rules(create_lease, update_lease),
}
