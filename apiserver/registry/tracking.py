"""managedFields of a plain write: the bridge from the generic store to ``machinery.meta.apply``."""

from __future__ import annotations

from apiserver.registry.custom import CustomKind
from apiserver.registry.strategy import Write
from machinery.api.schema import SchemaNode
from machinery.meta.apply import reset_fields, update_managed_fields
from machinery.meta.objects import Object


def track(write: Write, obj: Object, old: Object | None, schema: SchemaNode | None) -> None:
    if schema is None:
        return
    kind = write.kind
    managed = update_managed_fields(
        old, obj, manager=write.manager, api_version=kind.api_version, schema=schema,  # type: ignore[arg-type]
        time=write.now, subresource=write.subresource,
        ignored=reset_fields(kind.kind, write.subresource, kind.has_status()), built_in=not kind.custom,
        served_versions=kind.form.served if isinstance(kind, CustomKind) else None,
    )  # fmt: skip
    set_managed_fields(obj, managed)


def set_managed_fields(obj: Object, managed: list[dict[str, object]]) -> None:
    if managed:
        obj["metadata"]["managedFields"] = managed
    else:
        obj["metadata"].pop("managedFields", None)
