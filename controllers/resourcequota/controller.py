"""Recounts ResourceQuotas: admission adds to ``used`` on creation; here it is given back and corrected."""

from __future__ import annotations

from typing import Any

from controllers.context import Context, namespace_index
from controllers.discovery import Discovered, fetch_discovery
from controllers.pods import is_pod_finished
from controllers.resourcequota.plan import (
    compute_status,
    counted_resource,
    is_claim_resource,
    is_service_resource,
    lowers_usage,
)
from machinery.cache.informer import Informer
from machinery.meta.objects import is_terminating
from machinery.runtime.controller import Controller

Object = dict[str, Any]

#: Admission counts a creation itself; the recount that checks it may come a little later than our cache.
AFTER_CREATION_SECONDS = 1.0
#: Admission adds to ``used`` BEFORE the object is stored, so a fresh ``used`` may be ahead of every cache. Usage is
#: lowered only when the quota has not changed for this long; otherwise a recount could take back what was just granted.
SETTLED_SECONDS = 2.0
RESYNC_SECONDS = 300.0


class ResourceQuotas(Controller):
    name = "resourcequota"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context, self.client = context, context.client_for("resourcequota-controller")
        self.clock = context.clock
        self.quotas = context.namespaced("v1", "resourcequotas")
        self.pods = context.pods()
        self.services = context.namespaced("v1", "services")
        self.claims = context.namespaced("v1", "persistentvolumeclaims")
        self._counted: dict[str, Informer] = {}
        self._discovered: Discovered | None = None
        self._changed_at: dict[str, float] = {}
        self.quotas.add_handler(on_add=self._quota_changed, on_update=lambda old, new: self._quota_changed(new),
                                on_delete=lambda quota: self._changed_at.pop(_key(quota), None))  # fmt: skip
        self.pods.add_handler(on_add=self._added, on_update=self._pod_updated, on_delete=self._removed)
        for informer in (self.services, self.claims):
            informer.add_handler(on_add=self._added, on_update=lambda old, new: self._added(new),
                                 on_delete=self._removed)  # fmt: skip

    async def wait_synced(self) -> None:
        for informer in (self.quotas, self.pods, self.services, self.claims):
            await informer.wait_synced()

    def _quota_changed(self, quota: Object) -> None:
        self._changed_at[_key(quota)] = self.clock.monotonic()
        self.enqueue(quota)

    def _added(self, obj: Object) -> None:
        for quota in self.quotas.by_index("namespace", obj["metadata"]["namespace"]):
            self.queue.add_after(_key(quota), AFTER_CREATION_SECONDS)

    def _removed(self, obj: Object) -> None:
        for quota in self.quotas.by_index("namespace", obj["metadata"]["namespace"]):
            self.enqueue(quota)

    def _pod_updated(self, old: Object, new: Object) -> None:
        if is_pod_finished(new) and not is_pod_finished(old):
            self._removed(new)

    async def sync(self, key: str) -> str | None:
        quota = self.quotas.get(key)
        if quota is None or is_terminating(quota):
            return None
        hard, namespace = quota["spec"].get("hard") or {}, quota["metadata"]["namespace"]
        counts = {}
        for name in hard:
            resource = counted_resource(name)
            if resource is not None and (informer := await self._follow(resource)) is not None:
                counts[resource] = len(informer.by_index("namespace", namespace))
        services = self.services.by_index("namespace", namespace) if any(map(is_service_resource, hard)) else []
        claims = self.claims.by_index("namespace", namespace) if any(map(is_claim_resource, hard)) else []
        pods = self.pods.by_index("namespace", namespace)
        status = compute_status(quota, pods, services, claims, counts)
        self.queue.add_after(key, RESYNC_SECONDS)
        if status == (quota.get("status") or {}):
            return None
        unsettled = SETTLED_SECONDS - (self.clock.monotonic() - self._changed_at.get(key, 0.0))
        if lowers_usage(quota.get("status") or {}, status) and unsettled > 0:
            self.queue.add_after(key, unsettled)
            return None
        await self.client.update("v1", "resourcequotas", {**quota, "status": status}, subresource="status")
        return "recounted"

    async def _follow(self, resource: str) -> Informer | None:
        """The informer of a counted resource; None when there is no such resource (yet)."""
        known = self._counted.get(resource)
        if known is not None:
            return known
        if self._discovered is None or all(item.group_resource != resource for item in self._discovered.resources):
            self._discovered = await fetch_discovery(self.client)
        for item in self._discovered.resources:
            if item.group_resource == resource and item.can("list", "watch") and item.namespaced:
                informer = self.context.informers.metadata(item.gv, item.plural)
                informer.add_indexers({"namespace": namespace_index})
                informer.add_handler(on_add=self._added, on_delete=self._removed)
                await informer.wait_synced()
                self._counted[resource] = informer
                return informer
        return None


def _key(obj: Object) -> str:
    return f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"


def build(context: Context) -> list[Controller]:
    return [ResourceQuotas(context)]
