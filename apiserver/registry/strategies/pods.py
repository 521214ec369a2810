"""Pods: quality of service at creation, graceful deletion, what each subresource may touch."""

from __future__ import annotations

from typing import Any

from apiserver.registry.strategy import Strategy, Write, keep
from machinery.api.defaults import compute_qos_class
from machinery.meta.conditions import get_condition
from machinery.meta.objects import Object, deep_copy

DEFAULT_GRACE_SECONDS = 30


class PodStrategy(Strategy):
    returns_deleted = True
    generation_fields = ("spec",)

    def complete(self, obj: Object, old: Object | None) -> None:
        """podIP is the first of podIPs, whichever a client has set."""
        status = obj.get("status")
        if isinstance(status, dict):
            ips, first = status.get("podIPs"), status.get("podIP")
            if ips and not first:
                status["podIP"] = ips[0].get("ip", "")
            elif first and (not ips or ips[0].get("ip") != first):
                status["podIPs"] = [{"ip": first}]

    def prepare_create(self, write: Write, obj: Object) -> None:
        obj["metadata"]["generation"] = 1
        status: Object = {"phase": "Pending", "qosClass": compute_qos_class(obj)}
        if (obj.get("spec") or {}).get("schedulingGates"):
            status["conditions"] = [{
                "type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "lastProbeTime": None,
                "lastTransitionTime": None, "message": "Scheduling is blocked due to non-empty scheduling gates",
            }]  # fmt: skip
        obj["status"] = status

    def prepare_update(self, write: Write, obj: Object, old: Object) -> None:
        keep(obj, old, "status")
        self.count_generation(obj, old)

    def prepare_subresource_update(self, write: Write, obj: Object, old: Object) -> None:
        match write.subresource:
            case "status":
                self._prepare_status(obj, old)
            case "binding":
                return
            case "ephemeralcontainers":
                wanted = (obj.get("spec") or {}).get("ephemeralContainers")
                self._only_spec(obj, old)
                if wanted:
                    obj["spec"]["ephemeralContainers"] = wanted
                else:
                    obj["spec"].pop("ephemeralContainers", None)
            case "resize":
                self._prepare_resize(obj, old)
        self.count_generation(obj, old)

    def _prepare_status(self, obj: Object, old: Object) -> None:
        keep(obj, old, "spec")
        meta, before = obj["metadata"], old["metadata"]
        for name in ("ownerReferences", "deletionTimestamp"):
            keep(meta, before, name)
        status = obj.setdefault("status", {})
        # The class is fixed at creation; an agent that does not know it must not lose it.
        qos = (old.get("status") or {}).get("qosClass")
        if not status.get("qosClass") and qos:
            status["qosClass"] = qos
        if "observedGeneration" in status and not status["observedGeneration"]:
            del status["observedGeneration"]

    @staticmethod
    def _only_spec(obj: Object, old: Object) -> None:
        """All but what the subresource is for stays what it was."""
        resource_version = obj["metadata"].get("resourceVersion")
        managed = obj["metadata"].get("managedFields")
        obj["metadata"] = deep_copy(old["metadata"])
        if resource_version:
            obj["metadata"]["resourceVersion"] = resource_version
        if managed is not None:
            obj["metadata"]["managedFields"] = managed
        obj["spec"] = deep_copy(old["spec"])
        keep(obj, old, "status")

    def _prepare_resize(self, obj: Object, old: Object) -> None:
        wanted = obj.get("spec") or {}
        self._only_spec(obj, old)
        spec = obj["spec"]
        for part in ("containers", "initContainers"):
            by_name = {each.get("name"): each for each in wanted.get(part) or ()}
            for container in spec.get(part) or ():
                new = by_name.get(container["name"])
                if new is not None:
                    for field in ("resources", "resizePolicy"):
                        if field in new:
                            container[field] = new[field]
        if "resources" in wanted:
            spec["resources"] = wanted["resources"]

    def graceful_seconds(self, obj: Object, asked: int | None) -> int | None:
        spec, status = obj.get("spec") or {}, obj.get("status") or {}
        seconds = asked
        if seconds is None:
            seconds = spec.get("terminationGracePeriodSeconds")
            seconds = DEFAULT_GRACE_SECONDS if seconds is None else seconds
        if not spec.get("nodeName") or status.get("phase") in ("Failed", "Succeeded"):
            return 0
        return 1 if seconds < 0 else seconds


def bind(obj: Object, target: dict[str, Any], annotations: dict[str, str], now: str) -> str | None:
    """Assign a node, in place. The text of the conflict if that cannot be."""
    spec, meta = obj["spec"], obj["metadata"]
    if meta.get("deletionTimestamp"):
        return f"pod {meta['name']} is being deleted, cannot be assigned to a host"
    if spec.get("nodeName"):
        return f"pod {meta['name']} is already assigned to node \"{spec['nodeName']}\""
    if spec.get("schedulingGates"):
        return f"pod {meta['name']} has non-empty .spec.schedulingGates"
    spec["nodeName"] = target["name"]
    if annotations:
        meta.setdefault("annotations", {}).update(annotations)
    status = obj.setdefault("status", {})
    conditions = status.setdefault("conditions", [])
    condition = get_condition(conditions, "PodScheduled")
    wanted = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now}
    if condition is None:
        conditions.append(wanted)
    elif condition.get("status") != "True":
        condition.clear()
        condition.update(wanted)
    status.pop("nominatedNodeName", None)
    return None
