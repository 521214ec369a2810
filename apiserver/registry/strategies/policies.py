"""Admission policies: their expressions are compiled when they are written."""

from __future__ import annotations

from apiserver.registry.strategies.workloads import ConditionalSpecStrategy
from apiserver.registry.strategy import Cause, Write
from apiserver.validation.field import Errors
from machinery.meta.objects import Object

_STATUSES = ("False", "True", "Unknown")


class PolicyStrategy(ConditionalSpecStrategy):
    def validate(self, write: Write, obj: Object, old: Object | None) -> list[Cause]:
        if write.subresource == "status":
            return condition_causes(obj)
        if old is not None and old.get("spec") == obj.get("spec"):
            return []
        from apiserver.admission.policies.checks import policy_causes  # the engine is loaded with the first policy

        return list(policy_causes(obj))


def condition_causes(obj: Object) -> list[Cause]:
    errors = Errors()
    for i, condition in enumerate((obj.get("status") or {}).get("conditions") or ()):
        where = f"status.conditions[{i}]"
        if not condition.get("type"):
            errors.required(where + ".type")
        errors.one_of(where + ".status", condition.get("status") or "", _STATUSES)
        for field in ("lastTransitionTime", "reason"):
            if not condition.get(field):
                errors.required(f"{where}.{field}")
    return list(errors)
