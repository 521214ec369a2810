"""Defaults of flow control and of priority classes."""

from __future__ import annotations

from typing import Any

from machinery.api.defaults.fill import fill, fill_zero, section

Object = dict[str, Any]


def default_flow_schema(schema: Object) -> None:
    fill_zero(section(schema, "spec"), "matchingPrecedence", 1000)


def default_priority_level(level: Object) -> None:
    spec = section(level, "spec")
    exempt = spec.get("exempt")
    if exempt is not None:
        fill(exempt, "nominalConcurrencyShares", 0)
        fill(exempt, "lendablePercent", 0)
    limited = spec.get("limited")
    if limited is not None:
        fill(limited, "nominalConcurrencyShares", 30)
        fill(limited, "lendablePercent", 0)
        queuing = (limited.get("limitResponse") or {}).get("queuing")
        if queuing is not None:
            fill_zero(queuing, "handSize", 8)
            fill_zero(queuing, "queues", 64)
            fill_zero(queuing, "queueLengthLimit", 50)


def default_priority_class(priority_class: Object) -> None:
    fill(priority_class, "preemptionPolicy", "PreemptLowerPriority")


DEFAULTS = {
    ("flowcontrol.apiserver.k8s.io/v1", "FlowSchema"): default_flow_schema,
    ("flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration"): default_priority_level,
    ("scheduling.k8s.io/v1", "PriorityClass"): default_priority_class,
}
