"""Keeps the Endpoints object of every Service with a selector (older clients and some ingresses read them)."""

from __future__ import annotations

from typing import Any

from controllers.context import Context
from controllers.endpoints.plan import MANAGED_BY, MANAGER, plan_endpoints
from controllers.service_pods import backing_facts, is_external_name, selects
from machinery.meta.errors import ApiError, has_cause, is_not_found
from machinery.meta.objects import labels_of, split_key
from machinery.runtime.controller import Controller

Object = dict[str, Any]


class ServicePodsController(Controller):
    """Routes Service and pod events to Service keys; Endpoints and EndpointSlices share it."""

    account = ""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context, self.client = context, context.client_for(self.account)
        self.services = context.namespaced("v1", "services")
        self.pods = context.pods()
        self.services.add_handler(on_add=self.enqueue, on_update=self.enqueue_update, on_delete=self.enqueue)
        self.pods.add_handler(on_add=self._pod_changed, on_update=self._pod_updated, on_delete=self._pod_changed)

    async def wait_synced(self) -> None:
        await self.services.wait_synced()
        await self.pods.wait_synced()

    def _pod_changed(self, pod: Object) -> None:
        for service in self.services.by_index("namespace", pod["metadata"]["namespace"]):
            if selects(service, pod):
                self.enqueue(service)

    def _pod_updated(self, old: Object, new: Object) -> None:
        if backing_facts(old) == backing_facts(new):
            return
        self._pod_changed(new)
        if labels_of(old) != labels_of(new):
            self._pod_changed(old)

    def pods_of(self, service: Object) -> list[Object]:
        pods = self.pods.by_index("namespace", service["metadata"]["namespace"])
        return [pod for pod in pods if selects(service, pod)]


class EndpointsController(ServicePodsController):
    name = "endpoints"
    account = "endpoint-controller"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.recorder = context.recorder("endpoint-controller")
        self.endpoints = context.namespaced("v1", "endpoints")
        self.endpoints.add_handler(on_delete=self.enqueue)

    async def wait_synced(self) -> None:
        await super().wait_synced()
        await self.endpoints.wait_synced()
        for item in self.endpoints.items():
            if labels_of(item).get(MANAGED_BY) == MANAGER and self.services.get(_key(item)) is None:
                self.enqueue(item)  # its Service went while nobody watched

    async def sync(self, key: str) -> str | None:
        service, current = self.services.get(key), self.endpoints.get(key)
        namespace, name = split_key(key)
        if service is None:
            return await self._delete(namespace, name)
        if not service["spec"].get("selector") or is_external_name(service):
            return None
        wanted = plan_endpoints(service, self.pods_of(service), current)
        if wanted is None:
            return None
        try:
            if current is None:
                await self.client.create("v1", "endpoints", wanted)
            else:
                await self.client.update("v1", "endpoints", wanted)
        except ApiError as error:
            if has_cause(error, "NamespaceTerminating"):
                return None
            what = "FailedToCreateEndpoint" if current is None else "FailedToUpdateEndpoint"
            verb = "create" if current is None else "update"
            if error.code not in (404, 409):
                message = f"Failed to {verb} endpoint {key}: {error}"
                self.recorder.event({**service, **_TYPE}, "Warning", what, message)
            raise
        addresses = sum(len(subset.get("addresses") or ()) for subset in wanted.get("subsets") or ())
        return f"wrote endpoints, {addresses} ready"

    async def _delete(self, namespace: str, name: str) -> str | None:
        try:
            await self.client.delete("v1", "endpoints", name, namespace=namespace)
        except ApiError as error:
            if not is_not_found(error):
                raise
            return None
        return "deleted endpoints with their service"


_TYPE = {"apiVersion": "v1", "kind": "Service"}


def _key(obj: Object) -> str:
    return f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"


def build(context: Context) -> list[Controller]:
    return [EndpointsController(context)]
