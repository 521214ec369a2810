"""What the running server knows of custom kinds: schemas, columns, selectable fields, where a Scale is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from apiserver.crd.definitions import ServedVersion
from apiserver.crd.values import apply_schema_defaults, schema_causes
from machinery.api.decode import prune_unknown
from machinery.api.kinds import Kind
from machinery.meta.objects import Object


class CustomKinds:
    """By the row's identity: a changed definition makes new rows."""

    def __init__(self) -> None:
        self._versions: dict[int, ServedVersion] = {}

    def add(self, version: ServedVersion) -> None:
        self._versions[id(version.kind)] = version

    def remove(self, kind: Kind) -> None:
        self._versions.pop(id(kind), None)

    def of(self, kind: Kind) -> ServedVersion | None:
        return self._versions.get(id(kind))

    def raw_schemas(self) -> dict[Kind, dict[str, Any]]:
        """For OpenAPI."""
        return {version.kind: version.raw_schema for version in self._versions.values()}

    def default(self, kind: Kind, obj: Object) -> None:
        version = self.of(kind)
        if version is not None:
            prune_unknown(obj, version.schema)
            apply_schema_defaults(obj, version.raw_schema)

    def causes(self, kind: Kind, obj: Object) -> list[dict[str, Any]]:
        version = self.of(kind)
        return schema_causes(obj, version.raw_schema) if version is not None else []

    def getters(self, kind: Kind) -> Mapping[str, Callable[[Object], str]]:
        """Selectable fields by label."""
        version = self.of(kind)
        if version is None:
            return {}
        return {path.lstrip("."): _getter(path.lstrip(".").split(".")) for path in version.selectable}


def _getter(path: list[str]) -> Callable[[Object], str]:
    def get(obj: Object) -> str:
        value: Any = obj
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            return ""
        return ("true" if value else "false") if isinstance(value, bool) else str(value)

    return get
