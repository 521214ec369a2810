"""The StatefulSet controller: pods with names, in order, each with its own claims."""

from __future__ import annotations

from typing import Any

from controllers.context import Context
from controllers.history import HASH_LABEL, make_revision, obsolete_revisions, plan_history, revision_hash, template_of
from controllers.pod_owner import PodOwnerController
from controllers.pods import seconds_to_availability
from controllers.statefulset.identity import make_claims, make_stateful_pod, ordinal_of, revision_of
from controllers.statefulset.plan import Revisions, StatefulPlan, claim_owner, compute_status, plan_stateful
from machinery.meta.errors import ApiError, has_cause, is_already_exists, is_conflict, is_not_found
from machinery.meta.objects import controller_of, is_terminating, object_key, owner_reference

Object = dict[str, Any]
APPS = "apps/v1"


class StatefulSetController(PodOwnerController):
    name = "statefulset"
    gv, plural, kind = APPS, "statefulsets", "StatefulSet"
    component = "statefulset-controller"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.revisions = context.owned(APPS, "controllerrevisions")
        self.claims = context.namespaced("v1", "persistentvolumeclaims")

    async def wait_synced(self) -> None:
        await super().wait_synced()
        await self.revisions.wait_synced()
        await self.claims.wait_synced()

    async def sync(self, key: str) -> str | None:
        stateful_set = self.owners.get(key)
        if stateful_set is None:
            self.expectations.forget(key)
            return None
        if self.selector_of(stateful_set).empty:
            return None
        pods = [pod for pod in await self.claim(stateful_set) if ordinal_of(stateful_set, pod) is not None]
        names, templates, collisions = await self._sync_history(stateful_set)
        now = self.clock.now()
        plan = plan_stateful(stateful_set, pods, names, now)
        decided = None
        if self.expectations.satisfied(key):
            decided = await self._act(stateful_set, plan, names, templates)
        status = compute_status(stateful_set, pods, names, collisions, now)
        if status != stateful_set.get("status"):
            await self.write_status(stateful_set, status)
        wait = seconds_to_availability(pods, int(stateful_set["spec"].get("minReadySeconds") or 0), now)
        if wait is not None:
            self.queue.add_after(key, wait + 0.01)
        return decided

    async def _act(
        self, stateful_set: Object, plan: StatefulPlan, names: Revisions, templates: dict[str, Object]
    ) -> str | None:
        done = []
        for ordinal, version in plan.create:
            await self._ensure_claims(stateful_set, ordinal)
            revision = names.current if version == "current" else names.update
            await self._create(stateful_set, make_stateful_pod(stateful_set, templates[version], revision, ordinal))
            done.append(f"created ordinal {ordinal}")
        for pod in plan.condemned:
            await self._hand_over_claims(stateful_set, pod)
        for pod in plan.delete:
            self.expectations.expect_deletions(object_key(stateful_set), [pod["metadata"]["uid"]])
            await self.delete_pod(stateful_set, pod)
            done.append(f"deleted {pod['metadata']['name']}")
        return ", ".join(done) or None

    async def _create(self, stateful_set: Object, pod: Object) -> None:
        key, name = object_key(stateful_set), pod["metadata"]["name"]
        set_name = stateful_set["metadata"]["name"]
        self.expectations.expect_creations(key, 1)
        try:
            await self.client.create("v1", "pods", pod)
        except BaseException as error:
            self.expectations.creation_observed(key)
            if isinstance(error, ApiError) and is_already_exists(error):
                return  # ours and not seen yet, or somebody else's: the next sync will tell
            self.recorder.event(stateful_set, "Warning", "FailedCreate",
                                f"Create Pod {name} in StatefulSet {set_name} failed error: {error}")  # fmt: skip
            raise
        self.recorder.event(stateful_set, "Normal", "SuccessfulCreate",
                            f"Create Pod {name} in StatefulSet {set_name} successful")  # fmt: skip

    async def delete_pod(self, owner: Object, pod: Object) -> None:
        meta, set_name = pod["metadata"], owner["metadata"]["name"]
        try:
            await self.client.delete("v1", "pods", meta["name"], namespace=meta["namespace"], uid=meta["uid"])
        except BaseException as error:
            self.expectations.deletion_observed(object_key(owner), meta["uid"])
            if isinstance(error, ApiError) and (is_not_found(error) or is_conflict(error)):
                return
            message = f"Delete Pod {meta['name']} in StatefulSet {set_name} failed error: {error}"
            self.recorder.event(owner, "Warning", "FailedDelete", message)
            raise
        self.recorder.event(owner, "Normal", "SuccessfulDelete",
                            f"Delete Pod {meta['name']} in StatefulSet {set_name} successful")  # fmt: skip

    # --- claims -------------------------------------------------------------------------------------------------

    async def _ensure_claims(self, stateful_set: Object, ordinal: int) -> None:
        pod_name, set_name = f"{stateful_set['metadata']['name']}-{ordinal}", stateful_set["metadata"]["name"]
        for claim in make_claims(stateful_set, ordinal):
            if self.claims.get(object_key(claim)) is not None:
                continue
            if claim_owner(stateful_set, None, condemned=False) == "set":
                reference = owner_reference(stateful_set, APPS, "StatefulSet", controller=False)
                claim["metadata"]["ownerReferences"] = [reference]
            try:
                await self.client.create("v1", "persistentvolumeclaims", claim)
            except ApiError as error:
                if is_already_exists(error):
                    continue
                self.recorder.event(
                    stateful_set, "Warning", "FailedCreate",
                    f"Create Claim {claim['metadata']['name']} for Pod {pod_name} in StatefulSet {set_name} failed "
                    f"error: {error}",
                )  # fmt: skip
                raise
            self.recorder.event(
                stateful_set, "Normal", "SuccessfulCreate",
                f"Create Claim {claim['metadata']['name']} Pod {pod_name} in StatefulSet {set_name} success",
            )  # fmt: skip

    async def _hand_over_claims(self, stateful_set: Object, pod: Object) -> None:
        """A condemned pod takes its claims along when the retention policy says so."""
        if claim_owner(stateful_set, pod, condemned=True) != "pod":
            return
        ordinal = ordinal_of(stateful_set, pod)
        for wanted in make_claims(stateful_set, ordinal or 0):
            claim = self.claims.get(object_key(wanted))
            if claim is None:
                continue
            reference = owner_reference(pod, "v1", "Pod", controller=False)
            owners = claim["metadata"].get("ownerReferences") or []
            if reference in owners:
                continue
            kept = [item for item in owners if item["uid"] != stateful_set["metadata"]["uid"]]
            metadata = {**claim["metadata"], "ownerReferences": [*kept, reference]}
            await self.client.update("v1", "persistentvolumeclaims", {**claim, "metadata": metadata})

    # --- history ------------------------------------------------------------------------------------------------

    async def _sync_history(self, stateful_set: Object) -> tuple[Revisions, dict[str, Object], int]:
        """(names, templates by version, collision count); writes the revision of a new template."""
        template, status = stateful_set["spec"]["template"], stateful_set.get("status") or {}
        collisions = int(status.get("collisionCount") or 0)
        known = self.revisions.by_index("controller", stateful_set["metadata"]["uid"])
        history = plan_history(template, known)
        update = history.current
        if update is None:
            digest = revision_hash(template, collisions)
            labels = {**((template.get("metadata") or {}).get("labels") or {}), HASH_LABEL: digest}
            update = make_revision(stateful_set, self.reference_to(stateful_set), labels, digest, history.number)
            if not is_terminating(stateful_set):
                collisions = await self._create_revision(stateful_set, update, collisions)
        elif history.must_renumber:
            update = await self.client.update(
                APPS, "controllerrevisions", {**update, "revision": history.number}
            )
        current = next((item for item in known if item["metadata"]["name"] == status.get("currentRevision")), update)
        names = Revisions(current["metadata"]["name"], update["metadata"]["name"])
        live = {names.current, names.update} | {
            revision_of(pod) for pod in self.pods.by_index("controller", stateful_set["metadata"]["uid"])
        }
        limit = stateful_set["spec"].get("revisionHistoryLimit")
        for item in obsolete_revisions(history.old, live, 10 if limit is None else int(limit)):
            await self._delete_revision(item)
        return names, {"current": template_of(current), "update": template}, collisions

    async def _create_revision(self, stateful_set: Object, revision: Object, collisions: int) -> int:
        meta = revision["metadata"]
        try:
            await self.client.create(APPS, "controllerrevisions", revision)
            return collisions
        except ApiError as error:
            if has_cause(error, "NamespaceTerminating"):
                return collisions
            if not is_already_exists(error):
                raise
        found = await self.client.get(APPS, "controllerrevisions", meta["name"], namespace=meta["namespace"])
        owner = controller_of(found)
        if owner is not None and owner["uid"] == stateful_set["metadata"]["uid"]:
            return collisions
        # The name is taken by something else: another hash next time.
        status = {"replicas": 0, "availableReplicas": 0, **(stateful_set.get("status") or {})}
        await self.write_status(stateful_set, {**status, "collisionCount": collisions + 1})
        raise ApiError(409, "Conflict", f"revision name {meta['name']} is taken")

    async def _delete_revision(self, revision: Object) -> None:
        meta = revision["metadata"]
        try:
            await self.client.delete(APPS, "controllerrevisions", meta["name"], namespace=meta["namespace"])
        except ApiError as error:
            if not is_not_found(error):
                raise


def build(context: Context) -> list[PodOwnerController]:
    return [StatefulSetController(context)]


