"""Namespaces: held by the finalizers of their spec, which only ``/finalize`` may change."""

from __future__ import annotations

from apiserver.registry.strategy import Strategy, Write, keep
from machinery.meta.objects import Object

KUBERNETES = "kubernetes"


class NamespaceStrategy(Strategy):
    def prepare_create(self, write: Write, obj: Object) -> None:
        obj["status"] = {"phase": "Active"}
        spec = obj.get("spec") or {}
        finalizers = list(spec.get("finalizers") or ())
        if KUBERNETES not in finalizers:
            finalizers.append(KUBERNETES)
        obj["spec"] = {**spec, "finalizers": finalizers}

    def prepare_update(self, write: Write, obj: Object, old: Object) -> None:
        keep(obj, old, "spec", "status")

    def prepare_subresource_update(self, write: Write, obj: Object, old: Object) -> None:
        if write.subresource == "finalize":
            finalizers = (obj.get("spec") or {}).get("finalizers")
            managed = obj["metadata"].get("managedFields")
            resource_version = obj["metadata"].get("resourceVersion")
            obj["metadata"] = dict(old["metadata"])
            if managed is not None:
                obj["metadata"]["managedFields"] = managed
            if resource_version:
                obj["metadata"]["resourceVersion"] = resource_version
            keep(obj, old, "status")
            obj["spec"] = {"finalizers": finalizers} if finalizers else {}
            return
        keep(obj, old, "spec")
