"""Between the versions in which one stored resource is served. Pure; the input is never changed.

Two resources have two faces: HorizontalPodAutoscaler (autoscaling/v2 stored, v1 served too) and Event (core stored,
events.k8s.io served too).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from machinery.api.kinds import Kind
from machinery.meta.objects import Object, deep_copy

Converter = Callable[[Object], Object]
_METRICS = "autoscaling.alpha.kubernetes.io/metrics"
_CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
_CURRENT = "autoscaling.alpha.kubernetes.io/current-metrics"
_BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"


def converters(hub: Kind, kind: Kind) -> tuple[Converter | None, Converter | None]:
    """(hub → served, served → hub); None where nothing has to be done."""
    if kind is hub or (kind.group, kind.version) == (hub.group, hub.version):
        return None, None
    found = _TABLE.get((hub.kind, kind.group, kind.version))
    if found is not None:
        return found
    return _relabel(kind.api_version), _relabel(hub.api_version)


def _relabel(api_version: str) -> Converter:
    return lambda obj: {**obj, "apiVersion": api_version}


# -- events ------------------------------------------------------------------------------------------------------------

#: core name -> events.k8s.io name
_EVENT_FIELDS = {
    "involvedObject": "regarding", "message": "note", "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp", "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount", "reportingComponent": "reportingController",
}  # fmt: skip
_CORE_FIELDS = {new: old for old, new in _EVENT_FIELDS.items()}


def _event_to_new(obj: Object) -> Object:
    out = {_EVENT_FIELDS.get(name, name): value for name, value in obj.items()}
    out["apiVersion"] = "events.k8s.io/v1"
    if out.get("deprecatedSource") == {}:
        out["deprecatedSource"] = {}
    return out


def _event_to_core(obj: Object) -> Object:
    out = {_CORE_FIELDS.get(name, name): value for name, value in obj.items()}
    out["apiVersion"] = "v1"
    out.setdefault("involvedObject", {})
    out.setdefault("source", {})
    return out


# -- autoscaling -------------------------------------------------------------------------------------------------------


def _hpa_to_v1(obj: Object) -> Object:
    import orjson

    out: Object = deep_copy(obj)
    out["apiVersion"] = "autoscaling/v1"
    spec, status = out.get("spec") or {}, out.get("status") or {}
    annotations: dict[str, str] = {}
    metrics = spec.pop("metrics", None) or []
    others = []
    for metric in metrics:
        target = (metric.get("resource") or {}).get("target") or {}
        if (
            metric.get("type") == "Resource" and metric["resource"].get("name") == "cpu"
            and target.get("averageUtilization") is not None and "targetCPUUtilizationPercentage" not in spec
        ):
            spec["targetCPUUtilizationPercentage"] = target["averageUtilization"]
        else:
            others.append(metric)
    if others:
        annotations[_METRICS] = orjson.dumps([_metric_to_old(each, "target") for each in others]).decode()
    behavior = spec.pop("behavior", None)
    if behavior:
        annotations[_BEHAVIOR] = orjson.dumps(_capitalised(behavior)).decode()
    conditions = status.pop("conditions", None)
    if conditions:
        annotations[_CONDITIONS] = orjson.dumps(conditions).decode()
    current = status.pop("currentMetrics", None) or []
    for metric in current:
        usage = (metric.get("resource") or {}).get("current") or {}
        if metric.get("type") == "Resource" and metric["resource"].get("name") == "cpu":
            if usage.get("averageUtilization") is not None:
                status["currentCPUUtilizationPercentage"] = usage["averageUtilization"]
    if current:
        annotations[_CURRENT] = orjson.dumps([_metric_to_old(each, "current") for each in current]).decode()
    if annotations:
        out["metadata"].setdefault("annotations", {}).update(annotations)
    if "currentReplicas" not in status:
        status["currentReplicas"] = 0
    status.setdefault("desiredReplicas", 0)
    out["status"] = status
    return out


def _hpa_to_v2(obj: Object) -> Object:
    import orjson

    out: Object = deep_copy(obj)
    out["apiVersion"] = "autoscaling/v2"
    spec, status = out.setdefault("spec", {}), out.get("status") or {}
    annotations = out["metadata"].get("annotations") or {}
    metrics: list[Any] = []
    percentage = spec.pop("targetCPUUtilizationPercentage", None)
    if percentage is not None:
        metrics.append(_cpu_metric(percentage))
    try:
        metrics = [_metric_from_old(each) for each in orjson.loads(annotations.get(_METRICS, "[]"))] + metrics
        behavior = orjson.loads(annotations.get(_BEHAVIOR, "null"))
        conditions = orjson.loads(annotations.get(_CONDITIONS, "null"))
    except (orjson.JSONDecodeError, AttributeError, TypeError):
        behavior = conditions = None
    if metrics:
        spec["metrics"] = metrics
    if behavior:
        spec["behavior"] = _uncapitalised(behavior)
    if conditions:
        status["conditions"] = conditions
    current = status.pop("currentCPUUtilizationPercentage", None)
    if current is not None:
        status["currentMetrics"] = [
            {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": current}}}
        ]
    for name in (_METRICS, _BEHAVIOR, _CONDITIONS, _CURRENT):
        annotations.pop(name, None)
    if "annotations" in out["metadata"] and not annotations:
        del out["metadata"]["annotations"]
    if status:
        out["status"] = status
    return out


def _cpu_metric(percentage: int) -> Object:
    target = {"type": "Utilization", "averageUtilization": percentage}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


def _metric_to_old(metric: Object, what: str) -> Object:
    """The autoscaling/v2beta1-like form of the annotation: names without ``target``."""
    copied: Object = deep_copy(metric)
    return copied


def _metric_from_old(metric: Object) -> Object:
    copied: Object = deep_copy(metric)
    return copied


def _capitalised(value: Any) -> Any:
    if isinstance(value, dict):
        return {key[:1].upper() + key[1:]: _capitalised(item) for key, item in value.items()}
    return [_capitalised(item) for item in value] if isinstance(value, list) else value


def _uncapitalised(value: Any) -> Any:
    if isinstance(value, dict):
        return {key[:1].lower() + key[1:]: _uncapitalised(item) for key, item in value.items()}
    return [_uncapitalised(item) for item in value] if isinstance(value, list) else value


_TABLE: dict[tuple[str, str, str], tuple[Converter, Converter]] = {
    ("Event", "events.k8s.io", "v1"): (_event_to_new, _event_to_core),
    ("HorizontalPodAutoscaler", "autoscaling", "v1"): (_hpa_to_v1, _hpa_to_v2),
}
