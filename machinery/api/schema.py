"""Schemas as compact trees: one node a type, compiled once from the OpenAPI definitions of the release.

The definitions come as data from the ``kubernetes-validate`` package. Reading the file costs some 10 ms and several
megabytes, so it is read on first use, boiled down to slotted nodes without prose, and forgotten; whoever needs the
prose (explain, OpenAPI) reads it again. Nodes are shared: a definition used in forty places is one node, and equal
leaves are one object. Trees may be cyclic (JSONSchemaProps contains itself).

The same node describes custom resources: :func:`compile_schema` takes the structural schema of their definition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from machinery.api.builtin import definition_name
from machinery.api.kinds import Kind

#: The release whose definitions are served.
RELEASE = "v1.36.0"
META = "io.k8s.apimachinery.pkg.apis.meta.v1."

#: Definitions whose JSON form says more than their schema does: (type, format) of the node.
_WELL_KNOWN = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": ("quantity", ""),
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": ("int-or-string", ""),
    META + "Time": ("string", "date-time"),
    META + "MicroTime": ("string", "micro-time"),
    META + "FieldsV1": ("any", "fields"),
    "io.k8s.apimachinery.pkg.runtime.RawExtension": ("any", "raw"),
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON": ("any", "json"),
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray": ("any", "schema"),
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool": ("any", "schema"),
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": ("any", "schema"),
    META + "Patch": ("any", ""),
}

#: Keys of list maps that clients leave out: their value is part of an item's identity before defaults are applied.
_KEY_DEFAULTS = {
    ("io.k8s.api.core.v1.ContainerPort", "protocol"): "TCP",
    ("io.k8s.api.core.v1.ServicePort", "protocol"): "TCP",
}


class SchemaNode:
    """One type. ``type`` is object, array, string, integer, number, boolean, quantity, int-or-string or any.

    ``properties`` is None for maps (``additional_properties`` describes their values) and for scalars. ``name`` is the
    last word of the definition, ``go_type`` how upstream's decoder calls it in errors. ``list_type`` is "", atomic, set
    or map; ``map_type`` "" or atomic; ``patch_strategy`` the words of a strategic merge patch, as written.
    """

    __slots__ = (
        "additional_properties", "default", "embedded_resource", "format", "go_type", "has_default", "items",
        "list_map_keys", "list_type", "map_type", "name", "nullable", "patch_merge_key", "patch_strategy",
        "preserve_unknown", "properties", "required", "shape", "type",
    )  # fmt: skip

    def __init__(self, type_: str = "any", format_: str = "") -> None:
        self.type = type_
        self.format = format_
        self.name = ""
        self.go_type = ""
        self.properties: dict[str, SchemaNode] | None = None
        self.items: SchemaNode | None = None
        self.additional_properties: SchemaNode | None = None
        self.required: tuple[str, ...] = ()
        self.list_type = ""
        self.list_map_keys: tuple[str, ...] = ()
        self.map_type = ""
        self.patch_strategy = ""
        self.patch_merge_key = ""
        self.preserve_unknown = False
        self.embedded_resource = False
        self.nullable = False
        self.has_default = False
        self.default: Any = None
        #: What :mod:`machinery.api.shape` has worked out about this struct, once it was asked.
        self.shape: Any = None

    def __repr__(self) -> str:
        return f"<SchemaNode {self.name or self.type}>"

    def field(self, name: str) -> SchemaNode | None:
        """The node of a property or of a map's value; None for a field that does not exist."""
        if self.properties is not None:
            node = self.properties.get(name)
            if node is not None:
                return node
        return self.additional_properties

    def at(self, path: Iterable[str]) -> SchemaNode | None:
        """The node behind a path of names; list items are stepped into without a name."""
        node: SchemaNode | None = self
        for name in path:
            while node is not None and node.items is not None:
                node = node.items
            node = node.field(name) if node is not None else None
        return node

    def copy(self) -> SchemaNode:
        twin = SchemaNode()
        for slot in SchemaNode.__slots__:
            setattr(twin, slot, getattr(self, slot))
        twin.shape = None
        return twin


def read_definitions() -> dict[str, Any]:
    """The raw OpenAPI definitions with their prose, by name. Costs 10 ms and 10 MB while it is held.

    The package that carries them is found but not imported: its own code would bring a second schema library along.
    """
    spec = find_spec("kubernetes_validate")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("kubernetes-validate, which carries the OpenAPI definitions, is not installed")
    folder = Path(spec.submodule_search_locations[0]) / "kubernetes-json-schema" / f"{RELEASE}-local"
    path = folder / "_definitions.json"
    definitions: dict[str, Any] = orjson.loads(path.read_bytes())["$defs"]
    return definitions


def schema_for(kind: Kind) -> SchemaNode:
    """The tree of a built-in kind. Custom kinds are compiled by whoever owns their definition."""
    node = schema_by_name(kind.schema_name)
    if node is None:
        raise KeyError(f"no schema for {kind!r}")
    return node


def schema_for_kind(group: str, version: str, kind: str) -> SchemaNode | None:
    """The tree of any built-in type, also of those that are no resource: Scale, Eviction, DeleteOptions."""
    return schema_by_name(definition_name(group, version, kind)) or schema_by_name(META + kind)


def schema_by_name(name: str) -> SchemaNode | None:
    return _all_nodes().get(name)


@cache
def _all_nodes() -> dict[str, SchemaNode]:
    """Every stable definition, compiled in one go so that the file is read once in the life of a process."""
    definitions = read_definitions()
    compiler = _Compiler(definitions)
    for name in definitions:
        if name.split(".")[-2] in ("v1", "v2"):
            compiler.definition(name)
    return compiler.nodes


def compile_schema(schema: dict[str, Any], *, name: str = "") -> SchemaNode:
    """A tree from a self-contained structural schema (of a custom resource). The root is an object with metadata, and
    so is every embedded resource; an object that lists no field and allows no others has none."""
    node = _StructuralCompiler({}).node(schema | {"x-kubernetes-embedded-resource": True}).copy()
    node.embedded_resource = False
    node.name = name
    return node


class _Compiler:
    """Turns raw schemas into nodes. ``nodes`` has an entry before its definition is complete, which closes cycles."""

    def __init__(self, definitions: dict[str, Any]) -> None:
        self.definitions = definitions
        self.nodes: dict[str, SchemaNode] = {}
        self.leaves: dict[tuple[Any, ...], SchemaNode] = {}

    def definition(self, name: str) -> SchemaNode:
        node = self.nodes.get(name)
        if node is not None:
            return node
        words = name.split(".")
        node = self.nodes[name] = SchemaNode()
        node.name = words[-1]
        node.go_type = f"{words[-2]}.{words[-1]}"
        if name in _WELL_KNOWN:
            node.type, node.format = _WELL_KNOWN[name]
            node.preserve_unknown = node.type == "any"
            return node
        self.fill(node, self.definitions[name])
        if node.type == "object" and node.properties is None:
            node.properties = {}  # an empty struct knows no field
        for (owner, field), value in _KEY_DEFAULTS.items():
            if owner == name and node.properties is not None:
                keyed = node.properties[field] = node.properties[field].copy()
                keyed.has_default, keyed.default = True, value
        return node

    def node(self, schema: dict[str, Any]) -> SchemaNode:
        reference = schema.get("$ref")
        if reference is not None:
            target = self.definition(reference.removeprefix("#/$defs/"))
            if "x-kubernetes-map-type" in schema or "x-kubernetes-patch-strategy" in schema:
                target = target.copy()
                target.map_type = schema.get("x-kubernetes-map-type", target.map_type)
                target.patch_strategy = schema.get("x-kubernetes-patch-strategy") or ""
            return target
        node = SchemaNode()
        self.fill(node, schema)
        inner = (node.properties, node.items, node.additional_properties)
        if inner == (None, None, None) and not node.has_default:
            identity = (node.type, node.format, node.preserve_unknown, node.embedded_resource, node.nullable)
            return self.leaves.setdefault(identity, node)
        return node

    def fill(self, node: SchemaNode, schema: dict[str, Any]) -> None:
        types = schema.get("type")
        if isinstance(types, list):
            types = next((word for word in types if word != "null"), "any")
        node.type = types or "any"
        node.format = schema.get("format", "")
        if schema.get("x-kubernetes-int-or-string"):
            node.type = "int-or-string"
        if "properties" in schema:
            node.properties = {key: self.node(value) for key, value in schema["properties"].items()}
        if isinstance(schema.get("items"), dict):
            node.items = self.node(schema["items"])
        additional = schema.get("additionalProperties")
        if isinstance(additional, dict):
            node.additional_properties = self.node(additional)
        elif additional is True:
            node.additional_properties = SchemaNode()
        node.required = tuple(schema.get("required") or ())
        node.list_type = schema.get("x-kubernetes-list-type") or ""
        node.list_map_keys = tuple(schema.get("x-kubernetes-list-map-keys") or ())
        node.map_type = schema.get("x-kubernetes-map-type") or ""
        node.patch_strategy = schema.get("x-kubernetes-patch-strategy") or ""
        node.patch_merge_key = schema.get("x-kubernetes-patch-merge-key") or ""
        node.preserve_unknown = bool(schema.get("x-kubernetes-preserve-unknown-fields")) or node.type == "any"
        node.embedded_resource = bool(schema.get("x-kubernetes-embedded-resource"))
        node.nullable = bool(schema.get("nullable"))
        if "default" in schema:
            node.has_default, node.default = True, schema["default"]


class _StructuralCompiler(_Compiler):
    """Structural schemas differ in two points: bare objects are closed, embedded resources have type and metadata."""

    def fill(self, node: SchemaNode, schema: dict[str, Any]) -> None:
        super().fill(node, schema)
        if node.embedded_resource and node.type == "object":
            text = SchemaNode("string")
            meta = schema_by_name(META + "ObjectMeta") or SchemaNode()
            node.properties = {**(node.properties or {}), "apiVersion": text, "kind": text, "metadata": meta}
        elif node.type == "object" and node.properties is None and node.additional_properties is None:
            if not node.preserve_unknown:
                node.properties = {}


def walk(node: SchemaNode, visit: Callable[[tuple[str, ...], SchemaNode], None]) -> None:
    """Call ``visit(path, node)`` for every node below, each definition once."""
    seen: set[int] = set()
    pending: list[tuple[tuple[str, ...], SchemaNode]] = [((), node)]
    while pending:
        path, current = pending.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        visit(path, current)
        for name, child in (current.properties or {}).items():
            pending.append(((*path, name), child))
        for inner in (current.items, current.additional_properties):
            if inner is not None:
                pending.append((path, inner))
