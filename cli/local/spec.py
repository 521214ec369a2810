"""What a local cluster should be, as one small file: `up` and `nodes …` write it, the supervisor follows it.

Commands never tell the supervisor what to do step by step. They change this file under the cluster's lock and ask for a
reconcile; so a command that dies in between leaves a state that the next `up` completes.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from cli.local.layout import MAX_NODES, ClusterLayout, NodeLayout

Power = Literal["on", "off"]
Link = Literal["up", "cut"]
Store = Literal["sqlite", "etcd", "memory"]


@dataclass(frozen=True)
class NodeSpec:
    name: str
    index: int
    power: Power = "on"
    link: Link = "up"


@dataclass(frozen=True)
class ClusterSpec:
    name: str
    port: int  # of the API server on 127.0.0.1 of the root namespace
    store: Store = "sqlite"
    nodes: tuple[NodeSpec, ...] = field(default=())
    flags: tuple[str, ...] = ()  # COMPONENT:--FLAG=VALUE, beyond what the cluster's shape decides

    def flags_of(self, component: str) -> tuple[str, ...]:
        return tuple(flag for name, _, flag in (text.partition(":") for text in self.flags) if name == component)

    def node(self, name: str) -> NodeSpec:
        for node in self.nodes:
            if node.name == name:
                return node
        known = ", ".join(node.name for node in self.nodes) or "none"
        raise KeyError(f"no node {name!r} in cluster {self.name} (nodes: {known})")

    def with_node(self, node: NodeSpec) -> ClusterSpec:
        """Add it, or replace the one of the same name in its place."""
        if any(present.name == node.name for present in self.nodes):
            nodes = tuple(node if present.name == node.name else present for present in self.nodes)
        else:
            nodes = (*self.nodes, node)
        return replace(self, nodes=nodes)

    def without_node(self, name: str) -> ClusterSpec:
        return replace(self, nodes=tuple(node for node in self.nodes if node.name != name))

    def new_node(self, name: str | None = None) -> NodeSpec:
        """A free name and the lowest free index: the address of a removed machine may be used again."""
        indexes = {node.index for node in self.nodes}
        index = next(i for i in range(len(indexes) + 1) if i not in indexes)
        if index >= MAX_NODES:
            raise ValueError(f"a local cluster has at most {MAX_NODES} nodes")
        names = {node.name for node in self.nodes}
        if name is None:
            name = next(free for i in range(1, len(names) + 2) if (free := f"node{i}") not in names)
        if name in names:
            raise ValueError(f"node {name!r} exists already")
        return NodeSpec(name, index)

    def grown_to(self, count: int) -> ClusterSpec:
        spec = self
        while len(spec.nodes) < count:
            spec = spec.with_node(spec.new_node())
        return spec


def node_layouts(layout: ClusterLayout, spec: ClusterSpec) -> list[NodeLayout]:
    return [layout.node(node.name, node.index) for node in spec.nodes]


def parse_spec(data: dict[str, Any]) -> ClusterSpec:
    nodes = tuple(NodeSpec(**node) for node in data.get("nodes", ()))
    return ClusterSpec(**{**data, "nodes": nodes, "flags": tuple(data.get("flags", ()))})


def read_spec(layout: ClusterLayout) -> ClusterSpec | None:
    try:
        text = layout.spec.read_text()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return parse_spec(json.loads(text))


def write_spec(layout: ClusterLayout, spec: ClusterSpec) -> None:
    temporary = layout.spec.with_suffix(".new")
    with temporary.open("w") as file:
        json.dump(asdict(spec), file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(layout.spec)
