"""Custom resources, and the definitions that make them."""

from __future__ import annotations

from apiserver.registry.conversion import Converter
from apiserver.registry.custom import CustomKind, served_form, stored_form
from apiserver.registry.strategy import Cause, SpecStrategy, Strategy, Write, keep
from machinery.api.kinds import Kind
from machinery.meta.conditions import set_condition
from machinery.meta.errors import ApiError
from machinery.meta.objects import Object, deep_copy

GROUP = "apiextensions.k8s.io"
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"


class CustomStrategy(Strategy):
    """Everything but metadata (and status, where it is a subresource) counts for the generation. What a write may do
    follows the version in which it is made; only the bytes are of the storage version."""

    unconditional_update = False

    def converters(self, kind: Kind) -> tuple[Converter | None, Converter | None]:
        assert isinstance(kind, CustomKind)
        return (lambda obj: served_form(kind, obj)), None

    def stored_form(self, kind: Kind, obj: Object) -> Object:
        assert isinstance(kind, CustomKind)
        return stored_form(kind, obj)

    def prepare_create(self, write: Write, obj: Object) -> None:
        assert isinstance(write.kind, CustomKind)
        if write.kind.form.terminating:
            kind = write.kind
            raise ApiError(
                405, "MethodNotAllowed", "create not allowed while custom resource definition is terminating",
                {"group": kind.group, "kind": kind.plural},
            )  # fmt: skip
        if write.kind.has_status():
            obj.pop("status", None)
        obj["metadata"]["generation"] = 1

    def prepare_update(self, write: Write, obj: Object, old: Object) -> None:
        has_status = write.kind.has_status()
        if has_status:
            keep(obj, old, "status")
        left_out = ("metadata", "status") if has_status else ("metadata",)
        if _without(obj, left_out) != _without(old, left_out):
            obj["metadata"]["generation"] = (old["metadata"].get("generation") or 0) + 1

    def prepare_status_update(self, write: Write, obj: Object, old: Object) -> None:
        """Of metadata only managedFields may ride along."""
        super().prepare_status_update(write, obj, old)
        managed = obj["metadata"].get("managedFields")
        obj["metadata"] = {name: value for name, value in old["metadata"].items() if name != "managedFields"}
        if managed is not None:
            obj["metadata"]["managedFields"] = managed

    def validate(self, write: Write, obj: Object, old: Object | None) -> list[Cause]:
        assert isinstance(write.kind, CustomKind)
        return write.kind.form.causes(write.kind, obj, old, write.subresource, write.warn)


def _without(obj: Object, names: tuple[str, ...]) -> Object:
    return {name: value for name, value in obj.items() if name not in names}


class DefinitionStrategy(SpecStrategy):
    """A definition starts without accepted names; the controller (``apiserver/crd``) decides."""

    unconditional_update = False

    def validate(self, write: Write, obj: Object, old: Object | None) -> list[Cause]:
        if write.subresource == "status":
            return []
        from apiserver.crd.judging import definition_causes  # rules in CEL are compiled there

        return definition_causes(obj, old, write.warn)

    def complete(self, obj: Object, old: Object | None) -> None:
        if old is not None and "status" in obj:
            _add_storage_version(obj)

    def prepare_create(self, write: Write, obj: Object) -> None:
        super().prepare_create(write, obj)
        spec = obj.get("spec") or {}
        stored = [version.get("name") or "" for version in spec.get("versions") or () if version.get("storage")]
        obj["status"] = {
            "acceptedNames": {"kind": "", "plural": ""}, "conditions": None, "storedVersions": stored[:1] or None,
        }  # fmt: skip

    def prepare_update(self, write: Write, obj: Object, old: Object) -> None:
        super().prepare_update(write, obj, old)
        _add_storage_version(obj)

    def prepare_status_update(self, write: Write, obj: Object, old: Object) -> None:
        super().prepare_status_update(write, obj, old)
        meta = obj["metadata"]
        kept = {name: value for name, value in old["metadata"].items() if name != "managedFields"}
        if "managedFields" in meta:
            kept["managedFields"] = meta["managedFields"]
        obj["metadata"] = kept
        _add_storage_version(obj)

    def before_delete(self, obj: Object, now: str) -> Object:
        """The instances go first: a finalizer holds the definition until they are gone."""
        if obj["metadata"].get("deletionTimestamp"):
            return obj
        marked: Object = deep_copy(obj)
        finalizers = marked["metadata"].setdefault("finalizers", [])
        if CLEANUP not in finalizers:
            finalizers.append(CLEANUP)
        status = marked.setdefault("status", {})
        status["conditions"] = set_condition(status.get("conditions"), {
            "type": "Terminating", "status": "True", "reason": "InstanceDeletionPending",
            "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
        }, now)  # fmt: skip
        return marked


def _add_storage_version(obj: Object) -> None:
    status = dict(obj.get("status") or {})
    stored = status.get("storedVersions") or []
    for version in (obj.get("spec") or {}).get("versions") or ():
        if version.get("storage") and version["name"] not in stored:
            stored = [*stored, version["name"]]
    obj["status"] = {**status, "storedVersions": stored}
