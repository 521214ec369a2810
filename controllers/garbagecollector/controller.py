"""The garbage collector: follows the metadata of every deletable resource and carries out what the plan says.

It follows a resource whole where another controller does so anyway, else metadata only; new kinds (custom resources)
are found when a definition or an API service changes, and every few minutes. Events have no dependents and are left
out.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from controllers.context import Context
from controllers.discovery import Discovered, Resource, fetch_discovery
from controllers.garbagecollector import plan as pl
from controllers.garbagecollector.graph import FOREGROUND, ORPHAN, Graph, Node
from machinery.cache.informer import Informer
from machinery.client import ConnectError
from machinery.client.rest import METADATA_ONLY, resource_path
from machinery.meta.errors import ApiError, is_conflict, is_not_found
from machinery.runtime.controller import Controller

log = structlog.get_logger(__name__)
Object = dict[str, Any]

IGNORED = frozenset({("v1", "events"), ("events.k8s.io/v1", "events")})
REDISCOVER_SECONDS = 300.0
SYNC_PATIENCE_SECONDS = 30.0


class GarbageCollector(Controller):
    """Key: a uid."""

    name = "garbage-collector"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context, self.client, self.clock = context, context.client_for("generic-garbage-collector"), context.clock
        self.recorder = context.recorder("garbage-collector-controller")
        self.graph = Graph()
        self.discovered = Discovered(())
        self._followed: dict[tuple[str, str], Informer] = {}
        self._look_again = asyncio.Event()
        for gv, plural in (
            ("apiextensions.k8s.io/v1", "customresourcedefinitions"), ("apiregistration.k8s.io/v1", "apiservices"),
        ):  # fmt: skip
            context.informers.informer(gv, plural).add_handler(
                on_add=lambda obj: self._look_again.set(), on_update=lambda old, new: self._look_again.set(),
                on_delete=lambda obj: self._look_again.set(),
            )  # fmt: skip

    async def run(self, workers: int = 10) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(super().run(workers), name="garbage-collector-workers")
            group.create_task(self._keep_discovering(), name="garbage-collector-discovery")

    async def wait_synced(self) -> None:
        """A kind that cannot be listed (a broken conversion) must not stop the collection of all others."""
        await self._discover()
        waits = [informer.wait_synced() for informer in self._followed.values()]
        try:
            await asyncio.wait_for(asyncio.gather(*waits), SYNC_PATIENCE_SECONDS)
        except TimeoutError:
            missing = [plural for (_, plural), informer in self._followed.items() if not informer.synced]
            log.warning("collecting without some kinds", missing=missing)

    # --- following ----------------------------------------------------------------------------------------------

    async def _keep_discovering(self) -> None:
        while True:
            try:
                await asyncio.wait_for(self._look_again.wait(), REDISCOVER_SECONDS)
                await self.clock.sleep(0.5)  # definitions come in crowds, and a new one is served a moment later
            except TimeoutError:
                pass
            self._look_again.clear()
            await self._discover()

    async def _discover(self) -> None:
        while True:
            try:
                self.discovered = await fetch_discovery(self.client)
                break
            except (ApiError, ConnectError) as error:
                log.info("discovery failed, will retry", error=str(error))
                await self.clock.sleep(2)
        for resource in self.discovered.resources:
            key = (resource.gv, resource.plural)
            if key not in self._followed and key not in IGNORED and resource.can("delete", "list", "watch"):
                self._follow(resource)

    def _follow(self, resource: Resource) -> None:
        informer = self.context.informers.metadata(resource.gv, resource.plural)
        self._followed[resource.gv, resource.plural] = informer

        def seen(obj: Object) -> None:
            self._add(self.graph.observe(resource.gv, resource.kind, resource.plural, obj))

        def updated(old: Object, new: Object) -> None:
            if old["metadata"]["uid"] != new["metadata"]["uid"]:
                self._add(self.graph.forget(old["metadata"]["uid"]))
            seen(new)

        informer.add_handler(
            on_add=seen, on_update=updated, on_delete=lambda obj: self._add(self.graph.forget(obj["metadata"]["uid"]))
        )

    def _add(self, uids: set[str]) -> None:
        for uid in uids:
            self.queue.add(uid)

    # --- one object ---------------------------------------------------------------------------------------------

    async def sync(self, key: str) -> str | None:
        node = self.graph.nodes.get(key)
        if node is None:
            return None
        states = {}
        if not node.deleting:
            states = {ref["uid"]: await self._state(node, ref) for ref in node.owners}
        decision = pl.plan_node(self.graph, node, states)
        what = f"{node.plural} {node.namespace}/{node.name}" if node.namespace else f"{node.plural} {node.name}"
        try:
            if decision.act == "foreground":
                return await self._wait_for_dependents(node)
            if decision.act == "orphan":
                return await self._orphan_dependents(node)
            if decision.act == "patch" or decision.unblock:
                await self._patch(node, {"ownerReferences": list(decision.owners)})
                if decision.act == "patch":
                    return f"removed dead owners of {what}"
            if decision.act == "delete":
                await self._delete(node, decision.policy, check_version=not decision.unblock)
                return f"collected {what}"
        except ApiError as error:
            if is_not_found(error):
                self._add(self.graph.forget(node.uid))  # we missed its deletion
                return None
            if is_conflict(error) and "uid" in error.message.lower() and "precondition" in error.message.lower():
                self._add(self.graph.forget(node.uid))
                return None
            raise
        return None

    async def _state(self, node: Node, reference: Object) -> pl.State:
        state = pl.known_state(self.graph, node, reference)
        if state is None:
            state = await self._look_up(node, reference)
        if state == "dangling":
            owner = self.graph.nodes.get(reference["uid"])
            if owner is not None and owner.namespace and owner.namespace != node.namespace:
                self._tell_wrong_namespace(node, reference)
        return state

    async def _look_up(self, node: Node, reference: Object) -> pl.State:
        """Ask the server for an owner that the graph does not know."""
        api_version, kind, uid = reference.get("apiVersion", ""), reference.get("kind", ""), reference["uid"]
        resource = self.discovered.by_kind(api_version, kind)
        if resource is None:
            # Perhaps a kind that is just being defined: guessing "absent" would delete data.
            raise ApiError(404, "NotFound", f'no resource for owner kind "{kind}" of {api_version}')
        try:
            namespace = node.namespace if resource.namespaced else None
            if resource.namespaced and not node.namespace:
                self.graph.mark_absent(uid)
                return "dangling"
            path = resource_path(resource.gv, resource.plural, namespace, reference["name"])
            found = (await self.client.request("GET", path, headers={"Accept": METADATA_ONLY})).json()
        except ApiError as error:
            if not is_not_found(error):
                raise
            found = None
        if found is None or found["metadata"]["uid"] != uid:
            self.graph.mark_absent(uid)
            return "dangling"
        meta = found["metadata"]
        waits = bool(meta.get("deletionTimestamp")) and FOREGROUND in (meta.get("finalizers") or ())
        return "waiting" if waits else "solid"

    def _tell_wrong_namespace(self, node: Node, reference: Object) -> None:
        dependent = {
            "apiVersion": node.gv, "kind": node.kind, "name": node.name, "namespace": node.namespace, "uid": node.uid,
        }  # fmt: skip
        shown = ", ".join(f"{key}: {reference.get(key, '')}" for key in ("apiVersion", "kind", "name", "uid"))
        self.recorder.event({"reference": dependent}, "Warning", "OwnerRefInvalidNamespace",
                            f'ownerRef [{shown}] does not exist in namespace "{node.namespace}"')  # fmt: skip

    # --- acts ---------------------------------------------------------------------------------------------------

    async def _wait_for_dependents(self, node: Node) -> str | None:
        blockers = self.graph.blockers_of(node.uid)
        if not blockers:
            await self._drop_finalizer(node, FOREGROUND)
            return f"all dependents of {node.plural} {node.name} are gone"
        for blocker in blockers:
            if not blocker.deletes_foreground:
                self.queue.add(blocker.uid)
        return None

    async def _orphan_dependents(self, node: Node) -> str | None:
        dependents = self.graph.dependents_of(node.uid)
        await asyncio.gather(*(self._release(dependent, node.uid) for dependent in dependents))
        await self._drop_finalizer(node, ORPHAN)
        return f"orphaned {len(dependents)} dependents of {node.plural} {node.name}"

    async def _release(self, node: Node, owner_uid: str) -> None:
        owners = [ref for ref in node.owners if ref["uid"] != owner_uid]
        try:
            await self.context.gated(self._patch(node, {"ownerReferences": owners or None}))
        except ApiError as error:
            if not is_not_found(error):
                raise

    async def _patch(self, node: Node, metadata: Object) -> None:
        """On the version we know, so that a reference added meanwhile is not lost."""
        patch = {"metadata": {**metadata, "uid": node.uid, "resourceVersion": node.version}}
        await self.client.patch(node.gv, node.plural, node.name, patch, namespace=node.namespace or None)

    async def _drop_finalizer(self, node: Node, finalizer: str) -> None:
        path = resource_path(node.gv, node.plural, node.namespace or None, node.name)
        try:
            fresh = (await self.client.request("GET", path, headers={"Accept": METADATA_ONLY})).json()["metadata"]
            if fresh["uid"] != node.uid or finalizer not in (fresh.get("finalizers") or ()):
                return
            left = [name for name in fresh["finalizers"] if name != finalizer]
            patch = {"metadata": {"resourceVersion": fresh["resourceVersion"], "finalizers": left or None}}
            await self.client.patch(node.gv, node.plural, node.name, patch, namespace=node.namespace or None)
        except ApiError as error:
            if not is_not_found(error):
                raise

    async def _delete(self, node: Node, policy: str, *, check_version: bool) -> None:
        await self.context.gated(self.client.delete(
            node.gv, node.plural, node.name, namespace=node.namespace or None, uid=node.uid,
            resource_version=node.version if check_version else None, propagation_policy=policy,
        ))  # fmt: skip


def build(context: Context) -> list[Controller]:
    return [GarbageCollector(context)]
