"""Between the versions in which one stored resource is served. Pure: the input is never changed.

Two resources have two faces: HorizontalPodAutoscaler (autoscaling/v2 is stored, v1 is served too) and Event (the core
form is stored, that of events.k8s.io is served too). ``converters(hub, kind)`` gives both directions. What the older
face of an autoscaler cannot say travels in annotations, in the names that face once had; a round trip loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from machinery.api.builtin import definition_name
from machinery.api.kinds import Kind
from machinery.api.schema import schema_by_name
from machinery.api.shape import complete
from machinery.meta.objects import deep_copy

Object = dict[str, Any]
Converter = Callable[[Object], Object]

_ANNOTATION = "autoscaling.alpha.kubernetes.io/"
METRICS, CONDITIONS = _ANNOTATION + "metrics", _ANNOTATION + "conditions"
CURRENT_METRICS, BEHAVIOR = _ANNOTATION + "current-metrics", _ANNOTATION + "behavior"


def converters(hub: Kind, kind: Kind) -> tuple[Converter | None, Converter | None]:
    """(hub → served, served → hub); None where there is nothing to do."""
    if (kind.group, kind.version) == (hub.group, hub.version):
        return None, None
    return _CONVERTERS[kind.api_version, kind.kind]


def _finish(obj: Object, group: str, version: str) -> Object:
    """Name the version and give the object the shape of that version's struct."""
    obj["apiVersion"] = f"{group}/{version}" if group else version
    schema = schema_by_name(definition_name(group, version, obj["kind"]))
    if schema is not None:
        complete(obj, schema)
    return obj


# -- events ------------------------------------------------------------------------------------------------------------

#: Names of the core form and of events.k8s.io.
_EVENT_FIELDS = {
    "involvedObject": "regarding", "message": "note", "source": "deprecatedSource", "count": "deprecatedCount",
    "firstTimestamp": "deprecatedFirstTimestamp", "lastTimestamp": "deprecatedLastTimestamp",
    "reportingComponent": "reportingController",
}  # fmt: skip
_CORE_FIELDS = {new: old for old, new in _EVENT_FIELDS.items()}


def event_to_events_group(event: Object) -> Object:
    renamed = {_EVENT_FIELDS.get(field, field): value for field, value in deep_copy(event).items()}
    return _finish(renamed, "events.k8s.io", "v1")


def event_to_core(event: Object) -> Object:
    renamed = {_CORE_FIELDS.get(field, field): value for field, value in deep_copy(event).items()}
    return _finish(renamed, "", "v1")


# -- autoscalers -------------------------------------------------------------------------------------------------------


def autoscaler_to_v1(autoscaler: Object) -> Object:
    out = deep_copy(autoscaler)
    spec, status = out.setdefault("spec", {}), out.setdefault("status", {})
    metrics = spec.pop("metrics", None) or []
    annotations: dict[str, str] = {}
    for metric in metrics:
        if _is_cpu_utilization(metric, "target"):
            spec["targetCPUUtilizationPercentage"] = metric["resource"]["target"]["averageUtilization"]
    others = [_old_metric(metric, "target") for metric in metrics if not _is_cpu_utilization(metric, "target")]
    if others:
        annotations[METRICS] = _dump(others)
    behavior = spec.pop("behavior", None)
    if behavior is not None:
        annotations[BEHAVIOR] = _dump(_rename_keys(behavior, str.upper))
    current = status.pop("currentMetrics", None) or []
    for metric in current:
        if _is_cpu_utilization(metric, "current"):
            status["currentCPUUtilizationPercentage"] = metric["resource"]["current"]["averageUtilization"]
    if current:
        annotations[CURRENT_METRICS] = _dump([_old_metric(metric, "current") for metric in current])
    conditions = status.pop("conditions", None)
    if conditions:
        annotations[CONDITIONS] = _dump(conditions)
    meta = out["metadata"]
    kept = {name: text for name, text in (meta.get("annotations") or {}).items() if not _is_ours(name)}
    if kept or annotations:
        meta["annotations"] = kept | annotations
    return _finish(out, "autoscaling", "v1")


def autoscaler_to_v2(autoscaler: Object) -> Object:
    out = deep_copy(autoscaler)
    spec, status = out.setdefault("spec", {}), out.setdefault("status", {})
    annotations = out["metadata"].get("annotations") or {}
    metrics = [_new_metric(metric, "target") for metric in _load_list(annotations.get(METRICS))]
    percentage = spec.pop("targetCPUUtilizationPercentage", None)
    if percentage is not None:
        target = {"type": "Utilization", "averageUtilization": percentage}
        metrics.append({"type": "Resource", "resource": {"name": "cpu", "target": target}})
    if metrics:
        spec["metrics"] = metrics
    behavior = _load(annotations.get(BEHAVIOR))
    if isinstance(behavior, dict):
        spec["behavior"] = _rename_keys(behavior, str.lower)
    seen = status.pop("currentCPUUtilizationPercentage", None)
    current = [_new_metric(metric, "current") for metric in _load_list(annotations.get(CURRENT_METRICS))]
    if not current and seen is not None:
        current = [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": seen}}}]
    if current:
        status["currentMetrics"] = current
    conditions = _load_list(annotations.get(CONDITIONS))
    if conditions:
        status["conditions"] = conditions
    kept = {name: text for name, text in annotations.items() if not _is_ours(name)}
    out["metadata"].pop("annotations", None)
    if kept:
        out["metadata"]["annotations"] = kept
    return _finish(out, "autoscaling", "v2")


def _is_cpu_utilization(metric: Object, what: str) -> bool:
    source = metric.get("resource") or {}
    amounts = source.get(what) or {}
    utilization = amounts.get("averageUtilization")
    return metric.get("type") == "Resource" and source.get("name") == "cpu" and utilization is not None


def _is_ours(annotation: str) -> bool:
    return annotation in (METRICS, CONDITIONS, CURRENT_METRICS, BEHAVIOR)


#: (source, amount of v2) -> name in the older form, where "target"/"current" is a prefix of it; "=" marks bare names.
_AMOUNTS = {
    ("resource", "averageUtilization"): "AverageUtilization",
    ("resource", "averageValue"): "AverageValue",
    ("containerResource", "averageUtilization"): "AverageUtilization",
    ("containerResource", "averageValue"): "AverageValue",
    ("pods", "averageValue"): "AverageValue",
    ("external", "value"): "Value",
    ("external", "averageValue"): "AverageValue",
    ("object", "value"): "Value",
    ("object", "averageValue"): "=averageValue",
}
#: Name of the selector beside a metric's name.
_SELECTORS = {"external": "metricSelector"}


def _old_metric(metric: Object, what: str) -> Object:
    """A metric of v2 with the names of v1's annotations: ``targetAverageValue``, ``metricName``."""
    out: Object = {"type": metric.get("type", "")}
    for source, body in metric.items():
        if not isinstance(body, dict):
            continue
        old = {field: value for field, value in body.items() if field not in ("metric", what, "describedObject")}
        if body.get("describedObject") is not None:
            old["target"] = body["describedObject"]
        named = body.get("metric")
        if named is not None:
            old["metricName"] = named.get("name", "")
            if named.get("selector") is not None:
                old[_SELECTORS.get(source, "selector")] = named["selector"]
        amounts = body.get(what) or {}
        for (owner, amount), name in _AMOUNTS.items():
            if owner == source and amounts.get(amount) is not None:
                old[_old_amount(name, what)] = amounts[amount]
        if source == "object" and f"{what}Value" not in old:
            old[f"{what}Value"] = "0"  # required there; the average beside it is what counts
        out[source] = old
    return out


def _new_metric(metric: Object, what: str) -> Object:
    """The reverse of :func:`_old_metric`; the type of a target follows from the amount that is given."""
    out: Object = {"type": metric.get("type", "")}
    for source, old in metric.items():
        if not isinstance(old, dict):
            continue
        selector = _SELECTORS.get(source, "selector")
        body: Object = {}
        amounts: Object = {}
        names = {_old_amount(name, what): amount for (owner, amount), name in _AMOUNTS.items() if owner == source}
        if source == "object" and old.get("averageValue") is not None:
            names.pop(f"{what}Value")
        for field, value in old.items():
            if field in names:
                amounts[names[field]] = value
            elif source == "object" and field == "target":
                body["describedObject"] = value
            elif field == "metricName":
                body.setdefault("metric", {})["name"] = value
            elif field == selector and source not in ("resource", "containerResource"):
                body.setdefault("metric", {})["selector"] = value
            elif field != f"{what}Value":
                body[field] = value
        if what == "target":
            amounts["type"] = next((type_ for amount, type_ in _TARGET_TYPES.items() if amount in amounts), "Value")
        body[what] = amounts
        out[source] = body
    return out


_TARGET_TYPES = {"averageUtilization": "Utilization", "averageValue": "AverageValue", "value": "Value"}


def _old_amount(name: str, what: str) -> str:
    return name[1:] if name.startswith("=") else what + name


def _rename_keys(value: Any, change: Callable[[str], str]) -> Any:
    """Change the case of the first letter of every key: behaviour was written with the names of Go's fields."""
    if isinstance(value, dict):
        return {change(key[:1]) + key[1:]: _rename_keys(one, change) for key, one in value.items() if one is not None}
    return [_rename_keys(one, change) for one in value] if isinstance(value, list) else value


def _dump(value: Any) -> str:
    return orjson.dumps(value).decode()


def _load(text: str | None) -> Any:
    try:
        return orjson.loads(text) if text else None
    except orjson.JSONDecodeError:
        return None  # a person may have edited the annotation: it then says nothing


def _load_list(text: str | None) -> list[Object]:
    value = _load(text)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


_CONVERTERS: dict[tuple[str, str], tuple[Converter, Converter]] = {
    ("events.k8s.io/v1", "Event"): (event_to_events_group, event_to_core),
    ("autoscaling/v1", "HorizontalPodAutoscaler"): (autoscaler_to_v1, autoscaler_to_v2),
}
