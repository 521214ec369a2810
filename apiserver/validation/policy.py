"""PodDisruptionBudgets."""

from __future__ import annotations

from apiserver.validation.field import Errors, Object
from apiserver.validation.objectmeta import validate_metadata, validate_selector
from apiserver.validation.rules import Rules
from apiserver.validation.workloads import validate_int_or_percent

_NOT_OVER = "must not be greater than 100%"


def create(errors: Errors, budget: Object) -> None:
    _validate_spec(errors, budget.get("spec") or {})


def _validate_spec(errors: Errors, spec: Object) -> None:
    low, high = spec.get("minAvailable"), spec.get("maxUnavailable")
    if low is not None and high is not None:
        errors.invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set")
    for field, value in (("minAvailable", low), ("maxUnavailable", high)):
        if value is not None:
            validate_int_or_percent(errors, f"spec.{field}", value)
            if isinstance(value, str) and value.endswith("%") and value[:-1].isdigit() and int(value[:-1]) > 100:
                errors.invalid(f"spec.{field}", value, _NOT_OVER)
    validate_selector(errors, "spec.selector", spec.get("selector"))
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy is not None and policy not in ("AlwaysAllow", "IfHealthyBudget"):
        errors.not_supported("spec.unhealthyPodEvictionPolicy", policy, ("AlwaysAllow", "IfHealthyBudget"))


def create_with_metadata(errors: Errors, budget: Object) -> None:
    create(errors, budget)
    from apiserver.validation.objectmeta import PATH_SEGMENT

    if not errors:
        validate_metadata(errors, budget, True, PATH_SEGMENT, core=False)


def update(errors: Errors, budget: Object, old: Object, subresource: str) -> None:
    if subresource != "status":
        create(errors, budget)


RULES = {("policy", "PodDisruptionBudget"): Rules(create_with_metadata, update)}
