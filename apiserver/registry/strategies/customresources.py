"""Custom resources, and the definitions that make them."""

from __future__ import annotations

from apiserver.registry.strategy import SpecStrategy, Strategy, Write, keep
from machinery.api.kinds import Kind
from machinery.meta.objects import Object

GROUP = "apiextensions.k8s.io"
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"


class CustomStrategy(Strategy):
    """Everything but metadata (and status, where it is a subresource) counts for the generation."""

    unconditional_update = False

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind)

    def prepare_create(self, write: Write, obj: Object) -> None:
        if self.has_status:
            obj.pop("status", None)
        obj["metadata"]["generation"] = 1

    def prepare_update(self, write: Write, obj: Object, old: Object) -> None:
        if self.has_status:
            keep(obj, old, "status")
        meta, before = obj["metadata"], old["metadata"]
        if self._content(obj) != self._content(old):
            meta["generation"] = (before.get("generation") or 0) + 1

    def _content(self, obj: Object) -> Object:
        left_out = ("metadata", "status") if self.has_status else ("metadata",)
        return {name: value for name, value in obj.items() if name not in left_out}


class DefinitionStrategy(SpecStrategy):
    """A definition starts without accepted names; the names controller (``apiserver/crd``) decides."""

    def prepare_create(self, write: Write, obj: Object) -> None:
        super().prepare_create(write, obj)
        spec = obj.get("spec") or {}
        stored = [version["name"] for version in spec.get("versions") or () if version.get("storage")]
        obj["status"] = {
            "acceptedNames": {"kind": "", "plural": ""}, "conditions": None, "storedVersions": stored,
        }  # fmt: skip

    def held_by(self, obj: Object) -> str:
        return CLEANUP

    def prepare_update(self, write: Write, obj: Object, old: Object) -> None:
        super().prepare_update(write, obj, old)
        for version in (obj.get("spec") or {}).get("versions") or ():
            stored = obj.setdefault("status", {}).setdefault("storedVersions", [])
            if version.get("storage") and version["name"] not in stored:
                obj["status"] = {**obj["status"], "storedVersions": [*stored, version["name"]]}
