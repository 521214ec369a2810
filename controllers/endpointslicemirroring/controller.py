"""Mirrors hand-written Endpoints into EndpointSlices, so that proxies need to follow slices only."""

from __future__ import annotations

from typing import Any

from controllers.context import Context
from controllers.endpointslice.controller import service_index
from controllers.endpointslice.plan import MANAGED_BY
from controllers.endpointslice.reconcile import SlicePlan
from controllers.endpointslice.writer import DISCOVERY, write_slices
from controllers.endpointslicemirroring.plan import MANAGER, plan_mirror, should_mirror
from controllers.written import Written
from machinery.meta.objects import labels_of, object_key
from machinery.runtime.controller import Controller

Object = dict[str, Any]


class EndpointSliceMirroring(Controller):
    name = "endpointslicemirroring"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.client = context.client_for("endpointslicemirroring-controller")
        self.endpoints = context.namespaced("v1", "endpoints")
        self.services = context.namespaced("v1", "services")
        self.slices = context.informers.informer(DISCOVERY, "endpointslices", indexers={"service": service_index})
        self.written = Written(self.slices, context.clock)
        for informer in (self.endpoints, self.services):
            informer.add_handler(on_add=self.enqueue, on_update=self.enqueue_update, on_delete=self.enqueue)
        self.slices.add_handler(
            on_add=self._slice_changed, on_update=lambda old, new: self._slice_changed(new),
            on_delete=self._slice_deleted,
        )  # fmt: skip

    async def wait_synced(self) -> None:
        for informer in (self.endpoints, self.services, self.slices):
            await informer.wait_synced()

    def _slice_changed(self, item: Object) -> None:
        if labels_of(item).get(MANAGED_BY) == MANAGER:
            for key in service_index(item):
                self.queue.add(key)

    def _slice_deleted(self, item: Object) -> None:
        for key in service_index(item):
            self.written.deleted(key, object_key(item))
        self._slice_changed(item)

    async def sync(self, key: str) -> str | None:
        if self.written.is_stale(key):
            self.queue.add_after(key, 1.0)
            return None
        existing = [
            item for item in self.slices.by_index("service", key) if labels_of(item).get(MANAGED_BY) == MANAGER
        ]
        endpoints = self.endpoints.get(key)
        if endpoints is not None and should_mirror(endpoints, self.services.get(key)):
            plan = plan_mirror(endpoints, existing)
        else:
            plan = SlicePlan(delete=existing)
        return await write_slices(self.client, plan, self.written, key)


def build(context: Context) -> list[Controller]:
    return [EndpointSliceMirroring(context)]
