"""The status of a HorizontalPodAutoscaler: conditions and current metrics. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from controllers.autoscaling.replicas import PodUsage, Proposal, Target, is_counted, is_settled
from machinery.meta.conditions import set_condition
from machinery.meta.objects import format_time, parse_time
from machinery.meta.quantity import Quantity, parse_quantity

Object = dict[str, Any]

_DURATION_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}


def with_condition(status: Object, type_: str, value: str, reason: str, message: str, now: datetime) -> Object:
    condition = {"type": type_, "status": value, "reason": reason, "message": message}
    return {**status, "conditions": set_condition(status.get("conditions"), condition, format_time(now))}


def target_of(source: Object) -> Target:
    target = source["target"]
    if target["type"] == "Utilization":
        return Target(utilization=int(target["averageUtilization"]))
    return Target(average=parse_quantity(target["averageValue"]).milli_value())


def pod_usages(
    pods: Sequence[Object], metrics: Mapping[str, Object], resource: str, container: str | None, now: datetime
) -> list[PodUsage]:
    """``metrics``: PodMetrics by pod name. Raises LookupError for a container without a request."""
    found = []
    for pod in pods:
        if not is_counted(pod):
            continue
        metric = metrics.get(pod["metadata"]["name"])
        measured_at = parse_time(metric["timestamp"]) if metric and metric.get("timestamp") else None
        window = _seconds(metric.get("window", "30s")) if metric else 30.0
        ready = is_settled(pod, resource, measured_at, window, now)
        found.append(PodUsage(_usage(metric, resource, container), _request(pod, resource, container), ready))
    return found


def _usage(metric: Object | None, resource: str, container: str | None) -> int | None:
    if metric is None:
        return None
    amounts = [
        item["usage"].get(resource) for item in metric.get("containers") or ()
        if container is None or item["name"] == container
    ]  # fmt: skip
    if not amounts or any(amount is None for amount in amounts):
        return None
    return sum(parse_quantity(amount).milli_value() for amount in amounts)


def _request(pod: Object, resource: str, container: str | None) -> int:
    spec = pod["spec"]
    sidecars = [item for item in spec.get("initContainers") or () if item.get("restartPolicy") == "Always"]
    total = 0
    for item in [*(spec.get("containers") or ()), *sidecars]:
        if container is not None and item["name"] != container:
            continue
        amount = ((item.get("resources") or {}).get("requests") or {}).get(resource)
        if amount is None:
            raise LookupError(f"missing request for {resource} in container {item['name']} of Pod "
                              f"{pod['metadata']['name']}")  # fmt: skip
        total += parse_quantity(amount).milli_value()
    return total


def metric_status(metric: Object, proposal: Proposal) -> Object:
    field = "resource" if metric["type"] == "Resource" else "containerResource"
    source = metric[field]
    current: Object = {"averageValue": str(Quantity.of_milli(proposal.average))}
    if proposal.utilization is not None:
        current["averageUtilization"] = proposal.utilization
    shown: Object = {"name": source["name"], "current": current}
    if field == "containerResource":
        shown["container"] = source["container"]
    return {"type": metric["type"], field: shown}


def describe(metric: Object, proposal: Proposal) -> str:
    """The name of a metric in events and conditions."""
    if metric["type"] == "ContainerResource":
        source = metric["containerResource"]
        return f"{source['name']} container resource utilization (percentage of request)"
    percent = proposal.utilization is not None
    return f"{metric['resource']['name']} resource" + (" utilization (percentage of request)" if percent else "")


def _seconds(text: str) -> float:
    total, number = 0.0, ""
    for char in text:
        if char in _DURATION_UNITS:
            total, number = total + float(number or 0) * _DURATION_UNITS[char], ""
        else:
            number += char
    return total
