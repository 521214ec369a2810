"""The Deployment controller: claims ReplicaSets, asks the plan, writes what it says.

ReplicaSet names follow from the template, so creating twice is harmless and no expectations are needed: the second
creation fails with AlreadyExists, and only a name that belongs to something else counts as a collision.
"""

from __future__ import annotations

from typing import Any

from controllers.claims import adoption_patch, plan_claims, release_patch
from controllers.context import Context
from controllers.deployment.plan import Plan, Write, plan_deployment
from controllers.deployment.revisions import REVISION, replicas_of, same_template
from controllers.deployment.status import has_deadline, make_condition, put_condition
from machinery.meta.errors import ApiError, has_cause, is_already_exists, is_conflict, is_not_found
from machinery.meta.objects import (
    annotations_of,
    controller_of,
    is_controlled_by,
    is_terminating,
    labels_of,
    object_key,
    owner_reference,
)
from machinery.meta.selectors import label_selector_from_dict
from machinery.runtime.controller import Controller

Object = dict[str, Any]
APPS = "apps/v1"


class DeploymentController(Controller):
    name = "deployment"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context, self.client, self.clock = context, context.client_for("deployment-controller"), context.clock
        self.recorder = context.recorder("deployment-controller")
        self.deployments = context.owned(APPS, "deployments")
        self.sets = context.owned(APPS, "replicasets")
        self.pods = context.pods()
        self.deployments.add_handler(on_add=self.enqueue, on_update=self.enqueue_update, on_delete=self.enqueue)
        self.sets.add_handler(on_add=self._set_changed, on_update=self._set_updated, on_delete=self._set_changed)
        self.pods.add_handler(on_delete=self._pod_deleted)

    async def wait_synced(self) -> None:
        for informer in (self.deployments, self.sets, self.pods):
            await informer.wait_synced()

    # --- events -> keys -----------------------------------------------------------------------------------------

    def _owner_of(self, obj: Object) -> Object | None:
        reference = controller_of(obj)
        if reference is None or reference["kind"] != "Deployment":
            return None
        owner = self.deployments.get(f"{obj['metadata']['namespace']}/{reference['name']}")
        return owner if owner is not None and owner["metadata"]["uid"] == reference["uid"] else None

    def _set_changed(self, item: Object) -> None:
        if controller_of(item) is not None:
            if (owner := self._owner_of(item)) is not None:
                self.enqueue(owner)
            return
        if is_terminating(item):
            return
        for deployment in self.deployments.by_index("namespace", item["metadata"]["namespace"]):
            selector = label_selector_from_dict(deployment["spec"].get("selector"))
            if not selector.empty and selector.matches(labels_of(item)):
                self.enqueue(deployment)

    def _set_updated(self, old: Object, new: Object) -> None:
        if controller_of(old) != controller_of(new) and (owner := self._owner_of(old)) is not None:
            self.enqueue(owner)
        self._set_changed(new)

    def _pod_deleted(self, pod: Object) -> None:
        """Recreate waits for the last old pod to be gone."""
        reference = controller_of(pod)
        if reference is None or reference["kind"] != "ReplicaSet":
            return
        item = self.sets.get(f"{pod['metadata']['namespace']}/{reference['name']}")
        owner = self._owner_of(item) if item is not None else None
        if owner is not None and (owner["spec"].get("strategy") or {}).get("type") == "Recreate":
            self.enqueue(owner)

    # --- one step -----------------------------------------------------------------------------------------------

    async def sync(self, key: str) -> str | None:
        deployment = self.deployments.get(key)
        if deployment is None:
            return None
        selector = label_selector_from_dict(deployment["spec"].get("selector"))
        if selector.empty:
            self.recorder.event(deployment, "Warning", "SelectingAll",
                "This deployment is selecting all pods. A non-empty selector is required.")  # fmt: skip
            return None
        sets = await self._claim(deployment)
        pods = {item["metadata"]["uid"]: self.pods.by_index("controller", item["metadata"]["uid"]) for item in sets}
        plan = plan_deployment(deployment, sets, pods, self.clock.now())
        for write in plan.writes:
            if not await self._write(deployment, write):
                return "hash collision, trying another name"
        for item in plan.delete:
            await self._delete(item)
        if plan.status is not None:
            await self._write_status(deployment, plan)
        if plan.requeue_seconds is not None:
            self.queue.add_after(key, plan.requeue_seconds)
        sizes = [f"{write.replica_set['metadata']['name']}={replicas_of(write.replica_set)}" for write in plan.writes]
        return f"sized {', '.join(sizes)}" if sizes else None

    async def _claim(self, deployment: Object) -> list[Object]:
        meta = deployment["metadata"]
        candidates = [
            *self.sets.by_index("controller", meta["uid"]), *self.sets.by_index("orphan", meta["namespace"]),
        ]  # fmt: skip
        selector = label_selector_from_dict(deployment["spec"]["selector"])
        claims = plan_claims(deployment, selector.matches, candidates)
        owned = list(claims.owned)
        if claims.adopt:
            fresh = await self.client.get(APPS, "deployments", meta["name"], namespace=meta["namespace"])
            if fresh["metadata"]["uid"] != meta["uid"] or is_terminating(fresh):
                raise ApiError(409, "Conflict", f"Deployment {object_key(deployment)} is being deleted")
        for item in claims.adopt:
            patch = adoption_patch(item, owner_reference(deployment, APPS, "Deployment"))
            owned.append(await self._patch_set(item, patch))
        for item in claims.release:
            await self._patch_set(item, release_patch(item, meta["uid"]))
        return owned

    async def _patch_set(self, item: Object, patch: Object) -> Object:
        meta = item["metadata"]
        return await self.client.patch(
            APPS, "replicasets", meta["name"], patch, namespace=meta["namespace"], patch_type="strategic"
        )

    async def _write(self, deployment: Object, write: Write) -> bool:
        """False on a collision of names (the count is raised, another name follows)."""
        item = write.replica_set
        if write.create:
            try:
                await self.client.create(APPS, "replicasets", item)
            except ApiError as error:
                if is_already_exists(error):
                    return await self._met_existing(deployment, item)
                if has_cause(error, "NamespaceTerminating"):
                    return True
                await self._note_creation_failure(deployment, item, error)
                raise
        else:
            await self.client.update(APPS, "replicasets", item)
        if write.grew_from is not None:
            size = replicas_of(item)
            direction, name = "up" if size > write.grew_from else "down", item["metadata"]["name"]
            message = f"Scaled {direction} replica set {name} from {write.grew_from} to {size}"
            self.recorder.event(deployment, "Normal", "ScalingReplicaSet", message)
        return True

    async def _met_existing(self, deployment: Object, wanted: Object) -> bool:
        meta = wanted["metadata"]
        existing = await self.client.get(APPS, "replicasets", meta["name"], namespace=meta["namespace"])
        if is_controlled_by(existing, deployment) and same_template(
            existing["spec"]["template"], wanted["spec"]["template"]
        ):
            return True  # ours: the cache has not seen it yet
        status = dict(deployment.get("status") or {})
        status["collisionCount"] = int(status.get("collisionCount") or 0) + 1
        await self._put_status(deployment, status)
        self.queue.add_rate_limited(object_key(deployment))
        return False

    async def _note_creation_failure(self, deployment: Object, item: Object, error: ApiError) -> None:
        message = f'Failed to create new replica set "{item["metadata"]["name"]}": {error}'
        self.recorder.event(deployment, "Warning", "ReplicaSetCreateError", message)
        if not has_deadline(deployment):
            return
        status = dict(deployment.get("status") or {})
        condition = make_condition("Progressing", "False", "ReplicaSetCreateError", message, self.clock.now())
        status["conditions"] = put_condition(status.get("conditions") or (), condition)
        if status != deployment.get("status"):
            await self._put_status(deployment, status)

    async def _delete(self, item: Object) -> None:
        meta = item["metadata"]
        try:
            await self.client.delete(APPS, "replicasets", meta["name"], namespace=meta["namespace"], uid=meta["uid"])
        except ApiError as error:
            if not is_not_found(error) and not is_conflict(error):
                raise

    async def _write_status(self, deployment: Object, plan: Plan) -> None:
        if plan.revision is not None:
            annotations = {**annotations_of(deployment), REVISION: plan.revision}
            deployment = {**deployment, "metadata": {**deployment["metadata"], "annotations": annotations}}
        await self._put_status(deployment, plan.status or {})

    async def _put_status(self, deployment: Object, status: Object) -> None:
        await self.client.update(APPS, "deployments", {**deployment, "status": status}, subresource="status")


def build(context: Context) -> list[Controller]:
    return [DeploymentController(context)]
