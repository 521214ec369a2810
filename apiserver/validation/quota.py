"""ResourceQuotas and LimitRanges."""

from __future__ import annotations

from typing import Any

from apiserver.validation.field import NOT_NEGATIVE, Errors, Object
from apiserver.validation.objectmeta import validate_metadata, validate_metadata_update
from apiserver.validation.pods.resources import (
    NOT_FOR_CONTAINERS,
    NOT_STANDARD,
    STANDARD,
    validate_resource_name,
)
from apiserver.validation.rules import Rules, recreate
from machinery.meta import names
from machinery.meta.quantity import Quantity, parse_quantity

_SCOPES = frozenset((
    "Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity",
    "VolumeAttributesClass"))
_ONLY_EXISTS = frozenset(("Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "CrossNamespacePodAffinity"))
_STANDARD_QUOTA = frozenset((
    "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.storage",
    "requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage", "persistentvolumeclaims",
    "configmaps", "pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "services.nodeports",
    "services.loadbalancers"))
_LIMIT_TYPES = ("Pod", "Container", "PersistentVolumeClaim")
_INTEGERS = frozenset((
    "pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps", "persistentvolumeclaims",
    "services.nodeports", "services.loadbalancers"))


def _quota_name(errors: Errors, path: str, name: str) -> None:
    validate_resource_name(errors, path, name)
    if "/" not in name and name not in _STANDARD_QUOTA and not name.startswith(("hugepages-", "requests.hugepages-")):
        errors.invalid(path, name, "must be a standard resource for quota")


def validate_quota_amount(errors: Errors, path: str, name: str, amount: Any) -> None:
    value = parse_quantity(amount)
    if value.sign() < 0:
        errors.invalid(path, str(value), NOT_NEGATIVE)
    if (name in _INTEGERS or name.startswith("count/")) and value.milli_value() % 1000:
        errors.invalid(path, str(value), "must be an integer")


def create_quota(errors: Errors, quota: Object) -> None:
    validate_metadata(errors, quota, True)
    _quota_spec(errors, quota)


def _quota_spec(errors: Errors, quota: Object) -> None:
    spec = quota.get("spec") or {}
    for name, amount in sorted((spec.get("hard") or {}).items()):
        _quota_name(errors, f"spec.hard[{name}]", name)
        validate_quota_amount(errors, f"spec.hard[{name}]", name, amount)
    scopes = spec.get("scopes") or []
    for scope in scopes:
        if scope not in _SCOPES and "/" not in scope:
            errors.invalid("spec.scopes", scopes, "unsupported scope")
    for first, second in (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")):
        if first in scopes and second in scopes:
            errors.invalid("spec.scopes", scopes, "conflicting scopes")
    selector = spec.get("scopeSelector")
    for requirement in (selector or {}).get("matchExpressions") or ():
        _scope_requirement(errors, "spec.scopeSelector.matchExpressions", requirement)


def _scope_requirement(errors: Errors, path: str, requirement: Object) -> None:
    scope, operator = requirement.get("scopeName") or "", requirement.get("operator") or ""
    values = requirement.get("values") or []
    if scope not in _SCOPES and "/" not in scope:
        errors.invalid(path + ".scopeName", scope, "unsupported scope")
    if scope in _ONLY_EXISTS and operator != "Exists":
        errors.invalid(path + ".operator", operator,
                       "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, "
                       "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, "
                       "ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity")
    if operator in ("In", "NotIn"):
        if not values:
            errors.required(path + ".values",
                            "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector")
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            errors.invalid(
                path + ".values", values,
                "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
            )
    else:
        errors.invalid(path + ".operator", operator, "not a valid selector operator")


def update_quota(errors: Errors, quota: Object, old: Object, subresource: str) -> None:
    validate_metadata_update(errors, quota, old)
    if subresource == "status":
        for part in ("hard", "used"):
            for name, amount in sorted(((quota.get("status") or {}).get(part) or {}).items()):
                _quota_name(errors, f"status.{part}[{name}]", name)
                validate_quota_amount(errors, f"status.{part}[{name}]", name, amount)
        return
    _quota_spec(errors, quota)
    spec, before = quota.get("spec") or {}, old.get("spec") or {}
    if set(spec.get("scopes") or ()) != set(before.get("scopes") or ()):
        errors.invalid("spec.scopes", spec.get("scopes"), "field is immutable")


def create_limit_range(errors: Errors, limits: Object) -> None:
    validate_metadata(errors, limits, True)
    seen: set[str] = set()
    for i, limit in enumerate((limits.get("spec") or {}).get("limits") or ()):
        where, kind = f"spec.limits[{i}]", limit.get("type") or ""
        errors.invalid_all(where + ".type", kind, names.qualified_name(kind))
        if "/" not in kind and kind not in _LIMIT_TYPES and not names.qualified_name(kind):
            errors.invalid(where + ".type", kind, "must be a standard limit type or fully qualified")
        if kind in seen:
            errors.duplicate(where + ".type", kind)
        seen.add(kind)
        _Limit(errors, where, kind, limit).validate()


class _Limit:
    """One entry of a LimitRange: five tables of amounts that must fit together."""

    def __init__(self, errors: Errors, path: str, kind: str, limit: Object) -> None:
        self.errors = errors
        self.path = path
        self.kind = kind
        self.limit = limit

    def amounts(self, part: str) -> dict[str, Any]:
        return self.limit.get(part) or {}

    def validate(self) -> None:
        errors = self.errors
        keys: set[str] = set()
        parts = ["max", "min"]
        if self.kind == "Pod":
            for part in ("default", "defaultRequest"):
                if self.amounts(part):
                    errors.forbidden(f"{self.path}.{part}", "may not be specified when `type` is 'Pod'")
        else:
            parts += ["default", "defaultRequest"]
        parts.append("maxLimitRequestRatio")
        for part in parts:
            for name in sorted(self.amounts(part)):
                keys.add(name)
                self.name(f"{self.path}.{part}[{name}]", name)
        if self.kind == "PersistentVolumeClaim" and "storage" not in self.amounts("min") \
                and "storage" not in self.amounts("max"):
            errors.required(
                self.path + ".limits", "either minimum or maximum storage value is required, but neither was provided"
            )
        for name in sorted(keys):
            self.relations(name)

    def name(self, path: str, name: str) -> None:
        self.errors.invalid_all(path, name, names.qualified_name(name))
        if "/" in name:
            return
        if self.kind in ("Pod", "Container"):
            if name not in STANDARD and not name.startswith("hugepages-"):
                self.errors.invalid(path, name, NOT_STANDARD)
                self.errors.invalid(path, name, NOT_FOR_CONTAINERS)
        elif name not in STANDARD | {"storage"}:
            self.errors.invalid(path, name, NOT_STANDARD)

    def get(self, part: str, name: str) -> Quantity | None:
        amount = self.amounts(part).get(name)
        return None if amount is None else parse_quantity(amount)

    def relations(self, name: str) -> None:
        low, high = self.get("min", name), self.get("max", name)
        default, request = self.get("default", name), self.get("defaultRequest", name)
        ratio = self.get("maxLimitRequestRatio", name)

        def bad(part: str, value: Quantity, text: str) -> None:
            self.errors.invalid(f"{self.path}.{part}[{name}]", str(value), text)

        if low is not None and high is not None and low > high:
            bad("min", low, f"min value {low} is greater than max value {high}")
        if request is not None and low is not None and low > request:
            bad("defaultRequest", request, f"min value {low} is greater than default request value {request}")
        if request is not None and high is not None and request > high:
            bad("defaultRequest", request, f"default request value {request} is greater than max value {high}")
        if request is not None and default is not None and request > default:
            bad(
                "defaultRequest", request,
                f"default request value {request} is greater than default limit value {default}"
            )
        if default is not None and low is not None and low > default:
            bad("default", low, f"min value {low} is greater than default value {default}")
        if default is not None and high is not None and default > high:
            bad("default", high, f"default value {default} is greater than max value {high}")
        if ratio is not None:
            if ratio < Quantity.of(1):
                bad("maxLimitRequestRatio", ratio, f"ratio {ratio} is less than 1")
            if low is not None and high is not None and low:
                most = high.as_float() / low.as_float()
                if ratio.as_float() > most:
                    bad("maxLimitRequestRatio", ratio, f"ratio {ratio} is greater than max/min = {most:f}")



RULES = {
    ("", "ResourceQuota"): Rules(create_quota, update_quota),
    ("", "LimitRange"): recreate(create_limit_range),
}
