"""Gives every node its ``spec.podCIDR``. Allocation is in memory; the nodes themselves are the record."""

from __future__ import annotations

from typing import Any

from controllers.context import Context
from controllers.nodeipam.plan import CidrAllocator, RangeExhausted
from machinery.meta.errors import ApiError, is_invalid, is_not_found
from machinery.runtime.controller import Controller

Object = dict[str, Any]


def cidrs_of(node: Object) -> list[str]:
    spec = node.get("spec", {})
    return spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else [])


class NodeIpam(Controller):
    """Key: the node."""

    name = "node-ipam"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.client = context.client_for("node-controller")
        self.recorder = context.recorder("cidrAllocator")
        options = context.options
        self.allocators = []
        for cidr in options.cluster_cidr.split(","):
            self.allocators.append(CidrAllocator(cidr, 64 if ":" in cidr else options.node_cidr_mask_size))
        self.nodes = context.informers.informer("v1", "nodes")
        self._given: dict[str, list[str]] = {}
        self.nodes.add_handler(on_add=self._node_seen, on_update=lambda old, new: self._node_seen(new),
                               on_delete=self._node_deleted)  # fmt: skip

    async def wait_synced(self) -> None:
        await self.nodes.wait_synced()

    def _node_seen(self, node: Object) -> None:
        cidrs = cidrs_of(node)
        if not cidrs:
            self.enqueue(node)
            return
        name = node["metadata"]["name"]
        if self._given.get(name) != cidrs:
            for cidr in self._given.get(name, ()):
                self._release(cidr)
            self._given[name] = cidrs
            for cidr in cidrs:
                for allocator in self.allocators:
                    allocator.occupy(cidr)

    def _node_deleted(self, node: Object) -> None:
        for cidr in self._given.pop(node["metadata"]["name"], cidrs_of(node)):
            self._release(cidr)

    def _release(self, cidr: str) -> None:
        for allocator in self.allocators:
            allocator.release(cidr)

    async def sync(self, key: str) -> str | None:
        node = self.nodes.get(key)
        if node is None or cidrs_of(node):
            return None
        cidrs = self._given.get(key)
        if cidrs is None:
            try:
                cidrs = [allocator.allocate() for allocator in self.allocators]
            except RangeExhausted:
                self.recorder.event(node, "Normal", "CIDRNotAvailable",
                                    f"Node {key} status is now: CIDRNotAvailable")  # fmt: skip
                raise
            self._given[key] = cidrs
        try:
            await self.client.patch("v1", "nodes", key, {"spec": {"podCIDR": cidrs[0], "podCIDRs": cidrs}})
        except ApiError as error:
            if is_invalid(error) or is_not_found(error):  # someone else set it, or the node went away
                for cidr in self._given.pop(key, ()):
                    self._release(cidr)
                if is_not_found(error):
                    return None
            raise
        return f"gave pod range {', '.join(cidrs)}"


def build(context: Context) -> list[Controller]:
    return [NodeIpam(context)] if context.options.allocate_node_cidrs else []
