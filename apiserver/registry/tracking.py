"""managedFields of a plain write: the bridge from the generic store to ``machinery.meta.apply``."""

from __future__ import annotations

from apiserver.registry.custom import CustomKind
from apiserver.registry.strategy import Write
from machinery.api.kinds import Kind
from machinery.api.schema import SchemaNode
from machinery.meta.apply import reset_fields, update_managed_fields
from machinery.meta.apply.fieldset import FieldSet
from machinery.meta.objects import Object


def track(write: Write, obj: Object, old: Object | None, schema: SchemaNode | None) -> None:
    if schema is None:
        return
    kind = write.kind
    managed = update_managed_fields(
        old, obj, manager=write.manager, api_version=kind.api_version, schema=schema,
        time=write.now, subresource=write.subresource,
        ignored=ignored_fields(kind, write.subresource), built_in=not kind.custom,
        served_versions=kind.form.served if isinstance(kind, CustomKind) else None,
    )  # fmt: skip
    set_managed_fields(obj, managed)


def ignored_fields(kind: Kind, subresource: str) -> FieldSet:
    """What a write cannot touch and therefore never owns."""
    if not isinstance(kind, CustomKind) or subresource != "status":
        return reset_fields(kind.kind if not kind.custom else "", subresource, kind.has_status())
    others = [name for name in kind.form.node.properties or {} if name not in ("status", "kind", "apiVersion")]
    return {f"f:{name}": {} for name in ("metadata", *others)}


def set_managed_fields(obj: Object, managed: list[dict[str, object]]) -> None:
    if managed:
        obj["metadata"]["managedFields"] = managed
    else:
        obj["metadata"].pop("managedFields", None)
