"""Keeps the EndpointSlices of every Service with a selector: what proxies and DNS follow."""

from __future__ import annotations

from typing import Any

from controllers.context import Context
from controllers.endpoints.controller import ServicePodsController
from controllers.endpointslice.plan import MANAGED_BY, MANAGER, SERVICE_NAME, plan_slices
from controllers.endpointslice.writer import DISCOVERY, write_slices
from controllers.service_pods import is_external_name
from controllers.written import Written
from machinery.meta.objects import is_terminating, labels_of, object_key

Object = dict[str, Any]


def service_index(item: Object) -> tuple[str, ...]:
    name = labels_of(item).get(SERVICE_NAME)
    return (f"{item['metadata']['namespace']}/{name}",) if name else ()


class EndpointSliceController(ServicePodsController):
    name = "endpointslice"
    account = "endpointslice-controller"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.slices = context.informers.informer(DISCOVERY, "endpointslices", indexers={"service": service_index})
        self.nodes = context.informers.informer("v1", "nodes")
        self.written = Written(self.slices, context.clock)
        self.slices.add_handler(
            on_add=self._slice_changed, on_update=lambda old, new: self._slice_changed(new),
            on_delete=self._slice_deleted,
        )  # fmt: skip
        self.nodes.add_handler(on_add=self._node_added)

    async def wait_synced(self) -> None:
        await super().wait_synced()
        await self.slices.wait_synced()
        await self.nodes.wait_synced()

    def _slice_changed(self, item: Object) -> None:
        if labels_of(item).get(MANAGED_BY) == MANAGER:
            for key in service_index(item):
                self.queue.add(key)

    def _slice_deleted(self, item: Object) -> None:
        for key in service_index(item):
            self.written.deleted(key, object_key(item))
        self._slice_changed(item)

    def _node_added(self, node: Object) -> None:
        for pod in self.pods.by_index("node", node["metadata"]["name"]):
            self._pod_changed(pod)

    async def sync(self, key: str) -> str | None:
        service = self.services.get(key)
        if service is None or is_terminating(service):
            return None
        if not service["spec"].get("selector") or is_external_name(service):
            return None
        if self.written.is_stale(key):
            self.queue.add_after(key, 1.0)  # normally the awaited event comes first
            return None
        existing = [
            item for item in self.slices.by_index("service", key) if labels_of(item).get(MANAGED_BY) == MANAGER
        ]
        plan, node_missing = plan_slices(service, self.pods_of(service), self.nodes.get, existing)
        done = await write_slices(self.client, plan, self.written, key)
        if node_missing:
            self.queue.add_after(key, 5.0)
        return done


def build(context: Context) -> list[ServicePodsController]:
    return [EndpointSliceController(context)]
