"""Priority: the name of a class becomes a number in the pod, once; and what a PriorityClass may be."""

from __future__ import annotations

from typing import Any

from apiserver.admission.interface import AdmissionRequest
from apiserver.admission.plugin import PODS, Plugin, refuse
from apiserver.registry.interface import ObjectReader

Object = dict[str, Any]

GROUP = "scheduling.k8s.io"
SYSTEM_CLASSES = frozenset({"system-node-critical", "system-cluster-critical"})
PREEMPT = "PreemptLowerPriority"


class Priority(Plugin):
    name = "Priority"
    resources = frozenset({PODS, (GROUP, "priorityclasses")})
    operations = frozenset({"CREATE", "UPDATE", "DELETE"})

    def __init__(self, reader: ObjectReader) -> None:
        self._reader = reader

    async def admit(self, request: AdmissionRequest) -> None:
        if request.resource != "pods" or request.obj is None:
            return
        spec = request.obj["spec"]
        if request.operation == "UPDATE":
            for field in ("priority", "preemptionPolicy"):
                value = ((request.old or {}).get("spec") or {}).get(field)
                if value is not None and spec.get(field) is None:
                    spec[field] = value
            return
        self._resolve(request, spec)

    async def validate(self, request: AdmissionRequest) -> None:
        if request.resource != "priorityclasses":
            return
        if request.operation == "DELETE":
            if request.name in SYSTEM_CLASSES:
                raise refuse(request, "this is a system priority class and cannot be deleted")
        elif request.obj is not None and request.obj.get("globalDefault"):
            present = self._default()
            if present is not None and present["metadata"]["name"] != request.obj["metadata"].get("name"):
                raise refuse(
                    request,
                    f"PriorityClass {present['metadata']['name']} is already marked as default. "
                    "Only one default can exist",
                )

    def _resolve(self, request: AdmissionRequest, spec: Object) -> None:
        name = spec.get("priorityClassName")
        if name:
            chosen = self._reader.get(GROUP, "priorityclasses", "", name)
            if chosen is None:
                raise refuse(request, f"no PriorityClass with name {name} was found")
        else:
            chosen = self._default()
            if chosen is not None:
                spec["priorityClassName"] = chosen["metadata"]["name"]
        value = chosen["value"] if chosen is not None else 0
        policy = (chosen or {}).get("preemptionPolicy") or PREEMPT
        given = spec.get("priority")
        computed = "priority admission controller computed {} from the given PriorityClass name"
        if given is not None and given != value:
            raise refuse(
                request,
                f"the integer value of priority ({given}) must not be provided in pod spec; {computed.format(value)}",
            )
        given_policy = spec.get("preemptionPolicy")
        if given_policy is not None and given_policy != policy:
            raise refuse(
                request,
                f"the string value of PreemptionPolicy ({given_policy}) must not be provided in pod spec; "
                f"{computed.format(policy)}",
            )
        spec["priority"] = value
        spec["preemptionPolicy"] = policy

    def _default(self) -> Object | None:
        """The default class; of several (two servers may have made them at once) the lowest."""
        defaults = [item for item in self._reader.list(GROUP, "priorityclasses") if item.get("globalDefault")]
        return min(defaults, key=lambda item: item["value"], default=None)
