"""HorizontalPodAutoscalers, in the form of autoscaling/v2 in which they are stored."""

from __future__ import annotations

from apiserver.validation.field import Errors, Object
from apiserver.validation.objectmeta import SUBDOMAIN, validate_metadata, validate_metadata_update
from apiserver.validation.pods.resources import NOT_FOR_CONTAINERS, STANDARD
from apiserver.validation.rules import Rules
from machinery.meta import names
from machinery.meta.quantity import parse_quantity

_SOURCES = {
    "Object": "object", "Pods": "pods", "Resource": "resource", "ContainerResource": "containerResource",
    "External": "external"}
_TYPES = tuple(sorted(_SOURCES))
_TARGETS = ("AverageValue", "Utilization", "Value")


def create(errors: Errors, scaler: Object) -> None:
    validate_metadata(errors, scaler, True, SUBDOMAIN)
    _validate_spec(errors, scaler)


def _validate_spec(errors: Errors, scaler: Object) -> None:
    spec = scaler.get("spec") or {}
    low, high = spec.get("minReplicas"), spec.get("maxReplicas") or 0
    if low is not None and low < 1:
        errors.invalid("spec.minReplicas", low, "must be greater than or equal to 1")
    if high < 1:
        errors.required("spec.maxReplicas", "must be set and greater than 0")
    if low is not None and high < low:
        errors.invalid("spec.maxReplicas", high, "must be greater than or equal to `minReplicas`")
    _target_reference(errors, "spec.scaleTargetRef", spec.get("scaleTargetRef") or {})
    _metrics(errors, spec.get("metrics") or [], low)
    behavior = spec.get("behavior") or {}
    for direction in ("scaleUp", "scaleDown"):
        if behavior.get(direction) is not None:
            _scaling_rules(errors, f"spec.behavior.{direction}", behavior[direction])


def _target_reference(errors: Errors, path: str, reference: Object, api_version: bool = True) -> None:
    for field in ("kind", "name"):
        value = reference.get(field) or ""
        if not value:
            errors.required(f"{path}.{field}")
        else:
            errors.invalid_all(f"{path}.{field}", value, names.path_segment(value))
    if api_version:
        version = reference.get("apiVersion") or ""
        if version.count("/") > 1:
            errors.invalid(path + ".apiVersion", version, f"unexpected GroupVersion string: {version}")
        elif "/" not in version and reference.get("kind") != "ReplicationController":
            errors.invalid(path + ".apiVersion", version, "apiVersion must specify API group")


def _metrics(errors: Errors, metrics: list[Object], low: int | None) -> None:
    external = False
    for i, metric in enumerate(metrics):
        external |= metric.get("type") in ("Object", "External")
        _metric(errors, f"spec.metrics[{i}]", metric)
    if low == 0 and not external:
        errors.forbidden(
            "spec.metrics", "must specify at least one Object or External metric to support scaling to zero replicas"
        )


def _metric(errors: Errors, path: str, metric: Object) -> None:
    kind = metric.get("type") or ""
    if not kind:
        errors.required(path + ".type", "must specify a metric source type")
    if kind not in _SOURCES:
        errors.not_supported(path + ".type", kind, _TYPES)
    present = [field for field in (
        "object", "pods", "resource", "containerResource", "external"
    ) if metric.get(field) is not None]
    checks = {"object": _object, "pods": _pods, "resource": _resource, "containerResource": _container_resource,
              "external": _external}
    for index, field in enumerate(present):
        if index:
            errors.forbidden(f"{path}.{field}", "must populate the given metric source only")
        else:
            checks[field](errors, f"{path}.{field}", metric[field])
    wanted = _SOURCES.get(kind)
    if wanted is None:
        errors.not_supported(path + ".type", kind, _TYPES)  # upstream says it before and after it looks at the sources
    elif wanted not in present:
        errors.required(f"{path}.{wanted}", "must populate information for the given metric source")


def _identifier(errors: Errors, path: str, identifier: Object) -> None:
    name = identifier.get("name") or ""
    if not name:
        errors.required(path + ".name", "must specify a metric name")
    else:
        errors.invalid_all(path + ".name", name, names.path_segment(name))


def _target(errors: Errors, path: str, target: Object) -> None:
    kind = target.get("type") or ""
    if not kind:
        errors.required(path + ".type", "must specify a metric target type")
    if kind not in _TARGETS:
        errors.invalid(path + ".type", kind, "must be either Utilization, Value, or AverageValue")
    for field in ("value", "averageValue"):
        amount = target.get(field)
        if amount is not None and parse_quantity(amount).sign() != 1:
            errors.invalid(f"{path}.{field}", str(parse_quantity(amount)), "must be positive")
    utilization = target.get("averageUtilization")
    if utilization is not None and utilization < 1:
        errors.invalid(path + ".averageUtilization", utilization, "must be greater than 0")


def _object(errors: Errors, path: str, source: Object) -> None:
    target = source.get("target") or {}
    _target_reference(errors, path + ".describedObject", source.get("describedObject") or {}, api_version=False)
    _identifier(errors, path + ".metric", source.get("metric") or {})
    _target(errors, path + ".target", target)
    if target.get("value") is None and target.get("averageValue") is None:
        errors.required(path + ".target.averageValue", "must set either a target value or averageValue")


def _pods(errors: Errors, path: str, source: Object) -> None:
    target = source.get("target") or {}
    _identifier(errors, path + ".metric", source.get("metric") or {})
    _target(errors, path + ".target", target)
    amount = target.get("averageValue")
    if amount is None or parse_quantity(amount).sign() != 1:
        errors.required(path + ".target.averageValue", "must specify a positive target averageValue")


def _resource(errors: Errors, path: str, source: Object) -> None:
    if not source.get("name"):
        errors.required(path + ".name", "must specify a resource name")
    _resource_target(errors, path, source.get("target") or {})


def _container_resource(errors: Errors, path: str, source: Object) -> None:
    name = source.get("name") or ""
    if not name:
        errors.required(path + ".name", "must specify a resource name")
    else:
        errors.invalid_all(path + ".name", name, names.qualified_name(name))
        if "/" not in name and name not in STANDARD and not name.startswith("hugepages-"):
            errors.invalid(path + ".name", name, NOT_FOR_CONTAINERS)
    container = source.get("container") or ""
    if not container:
        errors.required(path + ".container", "must specify a container")
    else:
        errors.invalid_all(path + ".container", container, names.dns1123_label(container))
    _resource_target(errors, path, source.get("target") or {})


def _resource_target(errors: Errors, path: str, target: Object) -> None:
    _target(errors, path + ".target", target)
    utilization, average = target.get("averageUtilization"), target.get("averageValue")
    if utilization is None and average is None:
        errors.required(
            path + ".target.averageUtilization", "must set either a target raw value or a target utilization"
        )
    if utilization is not None and average is not None:
        errors.forbidden(path + ".target.averageValue", "may not set both a target raw value and a target utilization")


def _external(errors: Errors, path: str, source: Object) -> None:
    target = source.get("target") or {}
    _identifier(errors, path + ".metric", source.get("metric") or {})
    _target(errors, path + ".target", target)
    value, average = target.get("value"), target.get("averageValue")
    if value is None and average is None:
        errors.required(path + ".target.averageValue", "must set either a target value for metric or a per-pod target")
    if value is not None and average is not None:
        errors.forbidden(path + ".target.value", "may not set both a target value for metric and a per-pod target")


def _scaling_rules(errors: Errors, path: str, rules: Object) -> None:
    window = rules.get("stabilizationWindowSeconds")
    if window is not None and window < 0:
        errors.invalid(path + ".stabilizationWindowSeconds", window, "must be greater than or equal to zero")
    if window is not None and window > 3600:
        errors.invalid(path + ".stabilizationWindowSeconds", window, "must be less than or equal to 3600")
    select = rules.get("selectPolicy")
    if select is not None and select not in ("Disabled", "Max", "Min"):
        errors.not_supported(path + ".selectPolicy", select, ("Disabled", "Max", "Min"))
    policies = rules.get("policies") or []
    if not policies:
        errors.required(path + ".policies", "must specify at least one Policy")
    for i, policy in enumerate(policies):
        where, kind = f"{path}.policies[{i}]", policy.get("type") or ""
        if kind not in ("Percent", "Pods"):
            errors.not_supported(where + ".type", kind, ("Percent", "Pods"))
        value, period = policy.get("value") or 0, policy.get("periodSeconds") or 0
        if value <= 0:
            errors.invalid(where + ".value", value, "must be greater than zero")
        if period <= 0:
            errors.invalid(where + ".periodSeconds", period, "must be greater than zero")
        if period > 1800:
            errors.invalid(where + ".periodSeconds", period, "must be less than or equal to 1800")


def update(errors: Errors, scaler: Object, old: Object, subresource: str) -> None:
    validate_metadata_update(errors, scaler, old)
    if subresource == "status":
        status = scaler.get("status") or {}
        errors.not_negative("status.currentReplicas", status.get("currentReplicas"))
        errors.not_negative("status.desiredReplicas", status.get("desiredReplicas"))
        return
    _validate_spec(errors, scaler)


RULES = {("autoscaling", "HorizontalPodAutoscaler"): Rules(create, update)}
