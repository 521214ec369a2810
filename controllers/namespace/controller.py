"""Ends namespaces: deletes what is in them, tells what is left, and lets go when nothing is."""

from __future__ import annotations

from typing import Any

from controllers.context import Context
from controllers.discovery import Discovered, Resource, fetch_discovery
from controllers.namespace.plan import FINALIZER, Remains, deletable, display_name, finalized, with_conditions
from machinery.meta.errors import ApiError, is_conflict, is_not_found
from machinery.meta.objects import is_terminating
from machinery.runtime.controller import Controller

Object = dict[str, Any]

DISCOVERY_LIFETIME_SECONDS = 30.0
POLL_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 5.0)


class NamespaceController(Controller):
    name = "namespace"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.client, self.clock = context.client_for("namespace-controller"), context.clock
        self.namespaces = context.informers.informer("v1", "namespaces")
        self.namespaces.add_handler(on_add=self._changed, on_update=lambda old, new: self._changed(new),
                                    on_delete=lambda obj: self._rounds.pop(obj["metadata"]["name"], None))  # fmt: skip
        self._rounds: dict[str, int] = {}
        self._discovered: tuple[float, Discovered] | None = None

    async def wait_synced(self) -> None:
        await self.namespaces.wait_synced()

    def _changed(self, namespace: Object) -> None:
        if is_terminating(namespace):
            self.enqueue(namespace)

    async def sync(self, key: str) -> str | None:
        namespace = self.namespaces.get(key)
        if namespace is None or not is_terminating(namespace):
            return None
        if FINALIZER not in (namespace["spec"].get("finalizers") or ()):
            return None
        if (namespace.get("status") or {}).get("phase") != "Terminating":
            status = {**(namespace.get("status") or {}), "phase": "Terminating"}
            namespace = await self.client.update("v1", "namespaces", {**namespace, "status": status},
                                                 subresource="status")  # fmt: skip
        remains = await self._delete_content(key)
        conditions = with_conditions((namespace.get("status") or {}).get("conditions") or (), remains, self.clock.now())
        if conditions != (namespace.get("status") or {}).get("conditions"):
            status = {**namespace["status"], "conditions": conditions}
            namespace = await self.client.update("v1", "namespaces", {**namespace, "status": status},
                                                 subresource="status")  # fmt: skip
        if remains.nothing_left:
            await self._finalize(namespace)
            self._rounds.pop(key, None)
            return "nothing is left in the namespace, letting it go"
        count = self._rounds.get(key, 0)
        self._rounds[key] = count + 1
        self.queue.add_after(key, POLL_SECONDS[min(count, len(POLL_SECONDS) - 1)])
        return None

    async def _finalize(self, namespace: Object) -> None:
        try:
            await self.client.update("v1", "namespaces", finalized(namespace), subresource="finalize")
        except ApiError as error:
            if is_not_found(error):
                return
            if is_conflict(error):
                fresh = await self.client.get("v1", "namespaces", namespace["metadata"]["name"])
                await self.client.update("v1", "namespaces", finalized(fresh), subresource="finalize")
                return
            raise

    async def _delete_content(self, name: str) -> Remains:
        remains = Remains()
        discovered = await self._discover()
        remains.discovery_errors = [f"{gv}: stale GroupVersion discovery" for gv in discovered.failed]
        for resource in deletable(discovered.resources):
            await self._delete_resource(name, resource, remains)
            if resource.plural == "pods" and resource.gv == "v1" and remains.counts:
                break  # the rest waits for the pods
        return remains

    async def _delete_resource(self, namespace: str, resource: Resource, remains: Remains) -> None:
        try:
            left = await self._list(namespace, resource)
            if left:
                if resource.can("deletecollection"):
                    await self.client.delete_collection(
                        resource.gv, resource.plural, namespace=namespace, propagation_policy="Background"
                    )
                else:
                    for item in left:
                        await self._delete_one(namespace, resource, item)
                left = await self._list(namespace, resource)
        except ApiError as error:
            if error.code not in (404, 405):
                remains.deletion_errors.append(f"unexpected items still remain in namespace: {namespace} for gvr: "
                                               f"{resource.gv}, Resource={resource.plural}: {error}")  # fmt: skip
            return
        if left:
            remains.counts[display_name(resource)] = len(left)
            for item in left:
                for finalizer in item["metadata"].get("finalizers") or ():
                    remains.finalizers[finalizer] = remains.finalizers.get(finalizer, 0) + 1

    async def _list(self, namespace: str, resource: Resource) -> list[Object]:
        found = await self.client.list(resource.gv, resource.plural, namespace=namespace, metadata_only=True)
        return list(found["items"])

    async def _delete_one(self, namespace: str, resource: Resource, item: Object) -> None:
        try:
            await self.client.delete(
                resource.gv, resource.plural, item["metadata"]["name"], namespace=namespace,
                propagation_policy="Background",
            )  # fmt: skip
        except ApiError as error:
            if not is_not_found(error):
                raise

    async def _discover(self) -> Discovered:
        now = self.clock.monotonic()
        if self._discovered is None or now - self._discovered[0] > DISCOVERY_LIFETIME_SECONDS:
            self._discovered = (now, await fetch_discovery(self.client))
        return self._discovered[1]


def build(context: Context) -> list[Controller]:
    return [NamespaceController(context)]
