"""Schema nodes for these tests, straight from the published definitions, so that `meta` is judged by itself."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate

_FILE = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / "v1.36.0-local" / "_definitions.json"


@cache
def _definitions() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_FILE.read_text())["$defs"]
    return found


class Node:
    """One place of a type; children are made when asked for, because types can contain themselves."""

    def __init__(self, raw: dict[str, Any]) -> None:
        reference = raw.get("$ref")
        target = _definitions()[reference.rpartition("/")[2]] if reference else {}
        self.raw = {**target, **raw}
        kind = self.raw.get("type")
        self.type: str | None = kind if isinstance(kind, str) else kind[0] if kind else None
        self.list_type: str | None = self.raw.get("x-kubernetes-list-type")
        self.list_map_keys: list[str] | None = self.raw.get("x-kubernetes-list-map-keys")
        self.map_type: str | None = self.raw.get("x-kubernetes-map-type")
        self.patch_strategy: str | None = self.raw.get("x-kubernetes-patch-strategy")
        self.patch_merge_key: str | None = self.raw.get("x-kubernetes-patch-merge-key")
        self.default: Any = self.raw.get("default")
        self._properties: dict[str, Node] | None = None
        self._items: Node | None = None
        self._additional: Node | None = None

    @property
    def properties(self) -> dict[str, Node] | None:
        if self._properties is None and "properties" in self.raw:
            self._properties = {name: Node(raw) for name, raw in self.raw["properties"].items()}
            # The published definitions leave out the one default that identifies list elements.
            if {"protocol", "port"} <= self._properties.keys() or "containerPort" in self._properties:
                self._properties["protocol"].default = "TCP"
        return self._properties

    @property
    def items(self) -> Node | None:
        if self._items is None and "items" in self.raw:
            self._items = Node(self.raw["items"])
        return self._items

    @property
    def additional_properties(self) -> Node | None:
        if self._additional is None and isinstance(self.raw.get("additionalProperties"), dict):
            self._additional = Node(self.raw["additionalProperties"])
        return self._additional


@cache
def schema_of(api_version: str, kind: str) -> Node:
    group, _, version = api_version.rpartition("/")
    for name, definition in _definitions().items():
        for entry in definition.get("x-kubernetes-group-version-kind") or []:
            if (entry.get("group", ""), entry["version"], entry["kind"]) == (group, version, kind):
                return Node({"$ref": "#/$defs/" + name})
    tail = f".{(group.split('.')[0] or 'core')}.{version}.{kind}"
    return Node({"$ref": "#/$defs/" + next(name for name in _definitions() if name.endswith(tail))})
