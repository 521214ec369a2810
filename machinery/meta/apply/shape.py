"""What field ownership needs of a schema, prepared: for every type one of six ways to treat its values.

A leaf is owned as a whole: scalars, atomic lists and maps. Structs and granular maps are owned field by field, list
maps element by element under a key made of some of its fields, sets by value. Where the schema knows nothing, the
value decides: objects are granular, lists atomic.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Any, Final

import orjson

from machinery.meta.schema_node import SchemaNode

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./:-]*")  # what JSON writes as it is


class Way(Enum):
    LEAF = "leaf"
    STRUCT = "struct"
    MAP = "map"
    LIST_MAP = "list map"
    SET = "set"
    ANY = "any"


class Shape:
    """One prepared type. Children are prepared when first asked for, because types can contain themselves."""

    __slots__ = ("_fields", "_items", "_values", "default_keys", "keys", "node", "single_key", "way")

    def __init__(self, node: SchemaNode | None) -> None:
        self.node = node
        self.way = _way(node)
        self._fields: dict[str, tuple[str, Shape]] = {}
        self._items: Shape | None = None
        self._values: Shape | None = None
        self.keys: tuple[str, ...] = ()
        self.default_keys: dict[str, Any] = {}
        self.single_key = ""
        if self.way is Way.LIST_MAP and node is not None:
            self.keys = tuple(sorted(node.list_map_keys))
            known = node.items.properties or {}
            # A key that is left out has its default, or else the zero of its type, and still names the element.
            self.default_keys = {key: _key_default(known.get(key)) for key in self.keys}
            if len(self.keys) == 1:
                self.single_key = self.keys[0]

    def field(self, name: str) -> tuple[str, Shape]:
        """The path element and the shape of a field of a struct, or of a key of a map."""
        found = self._fields.get(name)
        if found is None:
            found = ("f:" + name, self._field_shape(name))
            if self.way is Way.STRUCT and self.node is not None and name in (self.node.properties or {}):
                self._fields[name] = found
        return found

    def _field_shape(self, name: str) -> Shape:
        if self.node is not None:
            child = (self.node.properties or {}).get(name)
            if child is not None:
                return shape_of(child)
        return self.values

    def declares(self, name: str) -> bool:
        """Whether a name is a field of a struct. Keys of maps are not declared: they exist because someone set them."""
        return self.way is Way.STRUCT and self.node is not None and name in (self.node.properties or {})

    @property
    def values(self) -> Shape:
        if self._values is None:
            additional = self.node.additional_properties if self.node is not None else None
            self._values = shape_of(additional) if additional is not None else ANY
        return self._values

    @property
    def items(self) -> Shape:
        if self._items is None:
            inner = self.node.items if self.node is not None else None
            self._items = shape_of(inner) if inner is not None else ANY
        return self._items

    def element(self, item: Any) -> str:
        """The path element that names an element of a list map or a set."""
        if self.way is Way.SET:
            return "v:" + orjson.dumps(item).decode()
        if not isinstance(item, dict):
            return "v:" + orjson.dumps(item).decode()
        if self.single_key:
            value = item.get(self.single_key)
            if type(value) is str and _PLAIN.fullmatch(value):
                return f'k:{{"{self.single_key}":"{value}"}}'
        defaults = self.default_keys
        return "k:" + orjson.dumps({
            key: defaults.get(key) if (value := item.get(key)) is None else value for key in self.keys}).decode()


def _key_default(node: SchemaNode | None) -> Any:
    if node is None:
        return None
    if node.default is not None:
        return node.default
    return {"string": "", "integer": 0, "number": 0, "boolean": False}.get(node.type)


def _way(node: SchemaNode | None) -> Way:
    if node is None:
        return Way.ANY
    if node.type == "object":
        if node.map_type == "atomic":
            return Way.LEAF
        if node.properties:
            return Way.STRUCT
        return Way.MAP
    if node.type == "array":
        if node.list_type == "map" and node.list_map_keys:
            return Way.LIST_MAP
        return Way.SET if node.list_type == "set" else Way.LEAF
    # Raw extensions and JSON values hold documents of others: nobody owns a part of them.
    return Way.ANY if node.type == "any" and node.format not in ("raw", "json") else Way.LEAF


ANY: Final = Shape(None)

_MOST_SHAPES: Final = 50_000
_shapes: dict[int, Shape] = {}


def shape_of(node: SchemaNode) -> Shape:
    """The shape of a node, prepared once. A shape holds its node, so an id in the table is never used twice."""
    shape = _shapes.get(id(node))
    if shape is None:
        if len(_shapes) >= _MOST_SHAPES:
            _shapes.clear()  # custom definitions come and go; what is still in use is prepared again
        shape = _shapes[id(node)] = Shape(node)
    return shape
