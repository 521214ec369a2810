"""Requests and limits of containers: names, amounts, and how they relate."""

from __future__ import annotations

from typing import Any

from apiserver.validation.field import NOT_NEGATIVE, Errors, Object
from machinery.meta import names
from machinery.meta.quantity import parse_quantity

STANDARD = frozenset(("cpu", "memory", "ephemeral-storage"))
#: Names without a domain that mean something somewhere.
KNOWN = frozenset((
    "cpu", "memory", "ephemeral-storage", "storage", "pods", "services", "replicationcontrollers", "resourcequotas",
    "secrets", "configmaps", "persistentvolumeclaims", "services.nodeports", "services.loadbalancers", "requests.cpu",
    "requests.memory", "requests.storage", "requests.ephemeral-storage", "limits.cpu", "limits.memory",
    "limits.ephemeral-storage"))
NOT_STANDARD = "must be a standard resource type or fully qualified"
NOT_FOR_CONTAINERS = "must be a standard resource for containers"


def is_native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


def is_extended(name: str) -> bool:
    return not is_native(name) and not name.startswith("requests.") and not names.qualified_name("requests." + name)


def may_overcommit(name: str) -> bool:
    return is_native(name) and not name.startswith("hugepages-")


def validate_resource_name(errors: Errors, path: str, name: str) -> None:
    errors.invalid_all(path, name, names.qualified_name(name))
    if "/" not in name and name not in KNOWN and not name.startswith(("hugepages-", "requests.hugepages-")):
        errors.invalid(path, name, NOT_STANDARD)


def validate_container_resource_name(errors: Errors, path: str, name: str) -> None:
    validate_resource_name(errors, path, name)
    if "/" not in name:
        if name not in STANDARD and not name.startswith("hugepages-"):
            errors.invalid(path, name, NOT_FOR_CONTAINERS)
    elif not is_native(name) and not is_extended(name):
        errors.invalid(path, name, "doesn't follow extended resource name standard")


def validate_amount(errors: Errors, path: str, name: str, amount: Any) -> None:
    value = parse_quantity(amount)
    if value.sign() < 0:
        errors.invalid(path, str(value), NOT_NEGATIVE)
    if ("/" not in name and name in ("pods", "services", "replicationcontrollers", "resourcequotas", "secrets",
                                    "configmaps", "persistentvolumeclaims")) or is_extended(name):
        if value.milli_value() % 1000:
            errors.invalid(path, str(value), "must be an integer")


def validate_requirements(
    errors: Errors, path: str, resources: Object, claims: frozenset[str] = frozenset(),
) -> None:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    sized = huge = False
    for name in sorted(limits):
        where = f"{path}.limits[{name}]"
        validate_container_resource_name(errors, where, name)
        validate_amount(errors, where, name, limits[name])
        sized |= name in ("cpu", "memory")
        huge |= name.startswith("hugepages-")
    for name in sorted(requests):
        where = f"{path}.requests[{name}]"
        validate_container_resource_name(errors, where, name)
        validate_amount(errors, where, name, requests[name])
        if name in limits:
            request, limit = parse_quantity(requests[name]), parse_quantity(limits[name])
            if request != limit and not may_overcommit(name):
                errors.invalid(f"{path}.requests", str(request), f"must be equal to {name} limit of {limit}")
            elif request > limit:
                errors.invalid(
                    f"{path}.requests", str(request), f"must be less than or equal to {name} limit of {limit}"
                )
        elif not may_overcommit(name):
            errors.required(f"{path}.limits", "Limit must be set for non overcommitable resources")
        sized |= name in ("cpu", "memory")
        huge |= name.startswith("hugepages-")
    if huge and not sized:
        errors.forbidden(path, "HugePages require cpu or memory")
    seen: set[str] = set()
    for i, claim in enumerate(resources.get("claims") or ()):
        where, name = f"{path}.claims[{i}]", claim.get("name") or ""
        if not name:
            errors.required(where + ".name")
        elif name in seen:
            errors.duplicate(where, name)
        elif name not in claims:
            errors.not_found(where, name)
        seen.add(name)
