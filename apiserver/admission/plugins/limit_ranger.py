"""LimitRange: fills in what a container did not say, and keeps containers, pods and claims within bounds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apiserver.admission.interface import AdmissionRequest
from apiserver.admission.plugin import PODS, Plugin, metadata_of, refuse
from apiserver.admission.pod_resources import Amounts, container_amounts, pod_amounts
from apiserver.auth.text import aggregate
from apiserver.registry.interface import ObjectReader
from machinery.meta.quantity import Quantity, parse_quantity

Object = dict[str, Any]

ANNOTATION = "kubernetes.io/limit-ranger"
CLAIMS = ("", "persistentvolumeclaims")


class LimitRanger(Plugin):
    name = "LimitRanger"
    resources = frozenset({PODS, CLAIMS})
    operations = frozenset({"CREATE", "UPDATE"})
    subresources = frozenset({"", "resize"})

    def __init__(self, reader: ObjectReader) -> None:
        self._reader = reader

    def handles(self, request: AdmissionRequest) -> bool:
        if not super().handles(request):
            return False
        # A pod's resources change only by resize.
        return request.resource != "pods" or (request.operation == "CREATE") == (request.subresource == "")

    async def admit(self, request: AdmissionRequest) -> None:
        if request.resource != "pods" or request.operation != "CREATE" or request.obj is None:
            return
        for limit_range in self._limit_ranges(request.namespace):
            set_defaults(limit_range, request.obj)

    async def validate(self, request: AdmissionRequest) -> None:
        assert request.obj is not None
        for limit_range in self._limit_ranges(request.namespace):
            breaches = list(
                pod_breaches(limit_range, request.obj)
                if request.resource == "pods"
                else claim_breaches(limit_range, request.obj)
            )
            if breaches:
                raise refuse(request, aggregate(breaches))

    def _limit_ranges(self, namespace: str) -> list[Object]:
        found = self._reader.list("", "limitranges", namespace)
        return sorted(found, key=lambda item: item["metadata"]["name"]) if len(found) > 1 else list(found)


def set_defaults(limit_range: Object, pod: Object) -> None:
    limits: dict[str, str] = {}
    requests: dict[str, str] = {}
    for item in _of_type(limit_range, "Container"):
        limits |= item.get("default") or {}
        requests |= item.get("defaultRequest") or {}
    notes: list[str] = []
    for field, title in (("containers", "container"), ("initContainers", "init container")):
        for container in pod["spec"].get(field) or ():
            for which, defaults, word in (("requests", requests, "request"), ("limits", limits, "limit")):
                have = (container.get("resources") or {}).get(which) or {}
                missing = {name: value for name, value in defaults.items() if name not in have}
                if missing:
                    container.setdefault("resources", {})[which] = {**have, **missing}
                    notes.append(f"{', '.join(sorted(missing))} {word} for {title} {container['name']}")
    if notes:
        metadata = metadata_of(pod)
        metadata["annotations"] = {
            **(metadata.get("annotations") or {}),
            ANNOTATION: f"LimitRanger plugin set: {'; '.join(notes)}",
        }


def pod_breaches(limit_range: Object, pod: Object) -> Iterator[str]:
    spec = pod["spec"]
    for item in (limit_range.get("spec") or {}).get("limits") or ():
        if item.get("type") == "Container":
            for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
                requests, limits = container_amounts(container, "requests"), container_amounts(container, "limits")
                yield from _breaches(item, requests, limits)
        elif item.get("type") == "Pod":
            yield from _breaches(item, pod_amounts(pod, "requests"), pod_amounts(pod, "limits"))


def claim_breaches(limit_range: Object, claim: Object) -> Iterator[str]:
    requests = container_amounts(claim.get("spec") or {}, "requests")
    for item in _of_type(limit_range, "PersistentVolumeClaim"):
        for name, bound in _bounds(item, "min"):
            text = f"minimum {name} usage per {item['type']} is {bound}"
            if name not in requests:
                yield f"{text}.  No request is specified"
            elif requests[name] < bound:
                yield f"{text}, but request is {requests[name]}"
        for name, bound in _bounds(item, "max"):
            text = f"maximum {name} usage per {item['type']} is {bound}"
            if name not in requests:
                yield f"{text}.  No request is specified"
            elif requests[name] > bound:
                yield f"{text}, but request is {requests[name]}"


def _breaches(item: Object, requests: Amounts, limits: Amounts) -> Iterator[str]:
    kind = item["type"]
    for name, bound in _bounds(item, "min"):
        text = f"minimum {name} usage per {kind} is {bound}"
        if name not in requests:
            yield f"{text}.  No request is specified"
        elif requests[name] < bound:
            yield f"{text}, but request is {requests[name]}"
        elif name in limits and limits[name] < bound:
            yield f"{text}, but limit is {limits[name]}"
    for name, bound in _bounds(item, "max"):
        text = f"maximum {name} usage per {kind} is {bound}"
        if name not in limits:
            yield f"{text}.  No limit is specified"
        elif limits[name] > bound:
            yield f"{text}, but limit is {limits[name]}"
        elif name in requests and requests[name] > bound:
            yield f"{text}, but request is {requests[name]}"
    for name, bound in _bounds(item, "maxLimitRequestRatio"):
        text = f"{name} max limit to request ratio per {kind} is {bound}"
        if name not in requests or requests[name].is_zero():
            yield f"{text}, but no request is specified or request is 0"
        elif name not in limits or limits[name].is_zero():
            yield f"{text}, but no limit is specified or limit is 0"
        else:
            ratio = limits[name].as_float() / requests[name].as_float()
            if ratio > bound.as_float():
                yield f"{text}, but provided ratio is {ratio:f}"


def _bounds(item: Object, field: str) -> list[tuple[str, Quantity]]:
    return [(name, parse_quantity(value)) for name, value in sorted((item.get(field) or {}).items())]


def _of_type(limit_range: Object, kind: str) -> list[Object]:
    return [item for item in (limit_range.get("spec") or {}).get("limits") or () if item.get("type") == kind]
