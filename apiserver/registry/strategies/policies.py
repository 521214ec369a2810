"""Admission policies: their expressions are compiled when they are written."""

from __future__ import annotations

from apiserver.registry.strategies.workloads import ConditionalSpecStrategy
from apiserver.registry.strategy import Cause, Write
from machinery.meta.objects import Object


class PolicyStrategy(ConditionalSpecStrategy):
    def validate(self, write: Write, obj: Object, old: Object | None) -> list[Cause]:
        if write.subresource == "status" or (old is not None and old.get("spec") == obj.get("spec")):
            return []
        from apiserver.admission.policies.checks import policy_causes  # the engine is loaded with the first policy

        return list(policy_causes(obj))
