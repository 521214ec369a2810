"""RuntimeClass: what running in it costs and where it runs, copied into the pod."""

from __future__ import annotations

from typing import Any

from apiserver.admission.interface import AdmissionRequest
from apiserver.admission.plugin import PODS, Plugin, refuse
from apiserver.auth.text import quote
from apiserver.registry.interface import ObjectReader
from machinery.meta.objects import deep_copy
from machinery.meta.quantity import QuantityError, parse_quantity

Object = dict[str, Any]


class RuntimeClass(Plugin):
    name = "RuntimeClass"
    resources = frozenset({PODS})

    def __init__(self, reader: ObjectReader) -> None:
        self._reader = reader

    async def admit(self, request: AdmissionRequest) -> None:
        assert request.obj is not None
        spec = request.obj["spec"]
        found = self._find(request, spec)
        if found is None:
            return
        if overhead := _overhead(found):
            if spec.get("overhead") and not _same_amounts(spec["overhead"], overhead):
                raise refuse(request, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
            spec["overhead"] = dict(overhead)
        scheduling = found.get("scheduling") or {}
        if selector := scheduling.get("nodeSelector"):
            own = spec.get("nodeSelector") or {}
            for key, value in selector.items():
                if key in own and own[key] != value:
                    raise refuse(
                        request,
                        f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
                        f"pod.spec.nodeSelector[{key}] = {own[key]}",
                    )
            spec["nodeSelector"] = {**own, **selector}
        if tolerations := scheduling.get("tolerations"):
            own_tolerations = spec.get("tolerations") or []
            spec["tolerations"] = own_tolerations + [deep_copy(t) for t in tolerations if t not in own_tolerations]

    async def validate(self, request: AdmissionRequest) -> None:
        assert request.obj is not None
        spec = request.obj["spec"]
        found = self._find(request, spec)
        overhead = _overhead(found) if found is not None else None
        given = spec.get("overhead") or {}
        if overhead:
            if not _same_amounts(given, overhead):
                raise refuse(request, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
        elif given:
            raise refuse(request, "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")

    def _find(self, request: AdmissionRequest, spec: Object) -> Object | None:
        name = spec.get("runtimeClassName")
        if not name:
            return None
        found = self._reader.get("node.k8s.io", "runtimeclasses", "", name)
        if found is None:
            raise refuse(request, f"pod rejected: RuntimeClass {quote(name)} not found")
        return found


def _overhead(runtime_class: Object) -> dict[str, str]:
    return (runtime_class.get("overhead") or {}).get("podFixed") or {}


def _same_amounts(one: dict[str, str], other: dict[str, str]) -> bool:
    try:
        return one.keys() == other.keys() and all(
            parse_quantity(value) == parse_quantity(other[name]) for name, value in one.items()
        )
    except QuantityError:
        return False
