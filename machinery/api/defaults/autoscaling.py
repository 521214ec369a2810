"""Defaults of both versions of HorizontalPodAutoscaler."""

from __future__ import annotations

from typing import Any

from machinery.api.defaults.fill import fill, section

Object = dict[str, Any]


def default_autoscaler_v1(autoscaler: Object) -> None:
    spec = section(autoscaler, "spec")
    fill(spec, "minReplicas", 1)
    # Without any metric the CPU target is the default; a metric may hide in the annotation of the newer version.
    annotations = (autoscaler.get("metadata") or {}).get("annotations") or {}
    if "autoscaling.alpha.kubernetes.io/metrics" not in annotations:
        fill(spec, "targetCPUUtilizationPercentage", 80)


def default_autoscaler_v2(autoscaler: Object) -> None:
    spec = section(autoscaler, "spec")
    fill(spec, "minReplicas", 1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    behavior = spec.get("behavior")
    if behavior is not None:
        _default_rules(behavior, "scaleUp", up=True)
        _default_rules(behavior, "scaleDown", up=False)


def _default_rules(behavior: Object, field: str, *, up: bool) -> None:
    rules = section(behavior, field)
    if up:
        fill(rules, "stabilizationWindowSeconds", 0)
    fill(rules, "selectPolicy", "Max")
    if not rules.get("policies"):
        percent = {"type": "Percent", "value": 100, "periodSeconds": 15}
        rules["policies"] = [{"type": "Pods", "value": 4, "periodSeconds": 15}, percent] if up else [percent]


DEFAULTS = {
    ("autoscaling/v1", "HorizontalPodAutoscaler"): default_autoscaler_v1,
    ("autoscaling/v2", "HorizontalPodAutoscaler"): default_autoscaler_v2,
}
