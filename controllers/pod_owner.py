"""The edge that all controllers of pods share: which owner a pod event concerns, claiming, creating, deleting.

The subclasses differ in what they want (their ``plan.py``); how a pod is routed to its owner, adopted, released,
created and deleted under expectations is the same for ReplicaSet, ReplicationController, DaemonSet, Job and
StatefulSet, and is written once here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from controllers.claims import adoption_patch, plan_claims, release_patch
from controllers.context import Context, slow_start
from controllers.expectations import Expectations
from machinery.meta.errors import ApiError, has_cause, is_conflict, is_invalid, is_not_found
from machinery.meta.objects import controller_of, is_terminating, labels_of, object_key, owner_reference
from machinery.meta.selectors import LabelSelector, label_selector_from_dict
from machinery.runtime.controller import Controller

Object = dict[str, Any]

#: Most pods one sync creates or deletes, so that one large owner does not starve the others.
BURST = 500


class PodOwnerController(Controller):
    """Class attributes name the owner's kind, the event source and (if another) the service account it acts as."""

    gv = ""
    plural = ""
    kind = ""
    component = ""
    account = ""
    tracking_finalizers: tuple[str, ...] = ()

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context
        self.client, self.clock = context.client_for(self.account or self.component), context.clock
        self.recorder = context.recorder(self.component)
        self.expectations = Expectations(context.clock)
        self.owners = context.owned(self.gv, self.plural)
        self.pods = context.pods()
        self.owners.add_handler(on_add=self.enqueue, on_update=self.owner_updated, on_delete=self.owner_deleted)
        self.pods.add_handler(on_add=self.pod_added, on_update=self.pod_updated, on_delete=self.pod_deleted)

    async def wait_synced(self) -> None:
        await self.owners.wait_synced()
        await self.pods.wait_synced()

    # --- events -> keys -----------------------------------------------------------------------------------------

    def owner_updated(self, _old: Object, new: Object) -> None:
        self.enqueue(new)

    def owner_deleted(self, owner: Object) -> None:
        self.expectations.forget(object_key(owner))
        self.enqueue(owner)

    def selector_of(self, owner: Object) -> LabelSelector:
        return label_selector_from_dict(owner["spec"].get("selector"))

    def owner_of(self, pod: Object) -> Object | None:
        """The owner in our cache; None when it is of another kind or another incarnation of the name."""
        reference = controller_of(pod)
        if reference is None or reference["kind"] != self.kind:
            return None
        if not str(reference.get("apiVersion", "")).startswith(self.gv.rpartition("/")[0]):
            return None
        owner = self.owners.get(f"{pod['metadata']['namespace']}/{reference['name']}")
        return owner if owner is not None and owner["metadata"]["uid"] == reference["uid"] else None

    def matching_owners(self, pod: Object) -> list[Object]:
        labels = labels_of(pod)
        if not labels:
            return []
        return [
            owner for owner in self.owners.by_index("namespace", pod["metadata"]["namespace"])
            if self._selects(owner, labels)
        ]  # fmt: skip

    def _selects(self, owner: Object, labels: Mapping[str, str]) -> bool:
        selector = self.selector_of(owner)
        return not selector.empty and selector.matches(labels)

    def pod_added(self, pod: Object) -> None:
        if is_terminating(pod):
            self.pod_deleted(pod)
            return
        if controller_of(pod) is not None:
            if (owner := self.owner_of(pod)) is not None:
                self.expectations.creation_observed(object_key(owner))
                self.enqueue(owner)
            return
        for owner in self.matching_owners(pod):
            self.enqueue(owner)

    def pod_updated(self, old: Object, new: Object) -> None:
        if is_terminating(new):
            self.pod_deleted(new)
            if old["metadata"].get("labels") != new["metadata"].get("labels"):
                self.pod_deleted(old)
            return
        before, after = controller_of(old), controller_of(new)
        if before != after and before is not None and (owner := self.owner_of(old)) is not None:
            self.enqueue(owner)
        if after is not None:
            if (owner := self.owner_of(new)) is not None:
                self.enqueue(owner)
            return
        if before != after or old["metadata"].get("labels") != new["metadata"].get("labels"):
            for owner in self.matching_owners(new):
                self.enqueue(owner)

    def pod_deleted(self, pod: Object) -> None:
        if (owner := self.owner_of(pod)) is not None:
            self.expectations.deletion_observed(object_key(owner), pod["metadata"]["uid"])
            self.enqueue(owner)

    # --- acts ---------------------------------------------------------------------------------------------------

    def reference_to(self, owner: Object) -> Object:
        return owner_reference(owner, self.gv, self.kind)

    async def claim(self, owner: Object, candidates: Iterable[Object] | None = None) -> list[Object]:
        """The owner's pods after adopting and releasing what the plan says."""
        meta = owner["metadata"]
        if candidates is None:
            candidates = [
                *self.pods.by_index("controller", meta["uid"]), *self.pods.by_index("orphan", meta["namespace"]),
            ]  # fmt: skip
        claims = plan_claims(owner, self.selector_of(owner).matches, candidates)
        owned = list(claims.owned)
        if claims.adopt:
            await self.check_may_adopt(owner)
        for pod in claims.adopt:
            patch = adoption_patch(pod, self.reference_to(owner), self.tracking_finalizers)
            try:
                owned.append(await self._patch_pod(pod, patch))
            except ApiError as error:
                if not is_not_found(error):
                    raise
        for pod in claims.release:
            try:
                await self._patch_pod(pod, release_patch(pod, meta["uid"], self.tracking_finalizers))
            except ApiError as error:
                # Gone, or already released by someone: both are what we wanted.
                if not is_not_found(error) and not is_invalid(error):
                    raise
        return owned

    async def check_may_adopt(self, owner: Object) -> None:
        """The cache may be old: an owner that is going away, or is another one of that name, must not adopt."""
        meta = owner["metadata"]
        fresh = await self.client.get(self.gv, self.plural, meta["name"], namespace=meta["namespace"])
        if fresh["metadata"]["uid"] != meta["uid"] or is_terminating(fresh):
            raise ApiError(409, "Conflict", f"{self.kind} {object_key(owner)} is being deleted and may not adopt")

    async def _patch_pod(self, pod: Object, patch: Object) -> Object:
        meta = pod["metadata"]
        return await self.context.gated(
            self.client.patch("v1", "pods", meta["name"], patch, namespace=meta["namespace"], patch_type="strategic")
        )

    async def create_pods(self, owner: Object, pods: list[Object]) -> tuple[int, Exception | None]:
        """Slow start under expectations; tells the owner's events. Returns how many, and the first error."""
        key = object_key(owner)
        self.expectations.expect_creations(key, len(pods))

        async def create(number: int) -> None:
            try:
                made = await self.context.gated(self.client.create("v1", "pods", pods[number]))
            except BaseException as error:
                self.expectations.creation_observed(key)
                if not has_cause(error, "NamespaceTerminating"):
                    self.recorder.event(owner, "Warning", "FailedCreate", f"Error creating: {error}")
                raise
            self.recorder.event(owner, "Normal", "SuccessfulCreate", f"Created pod: {made['metadata']['name']}")

        started = await slow_start(len(pods), create)
        # What was not tried is never going to be seen.
        self.expectations.creation_observed(key, len(pods) - started.tried)
        if started.error is not None and has_cause(started.error, "NamespaceTerminating"):
            return started.done, None
        return started.done, started.error

    async def delete_pods(self, owner: Object, pods: list[Object]) -> tuple[int, Exception | None]:
        key = object_key(owner)
        self.expectations.expect_deletions(key, [pod["metadata"]["uid"] for pod in pods])

        async def delete(number: int) -> None:
            await self.delete_pod(owner, pods[number])

        results = await _gather(delete, len(pods))
        errors = [result for result in results if result is not None]
        return len(pods) - len(errors), errors[0] if errors else None

    async def delete_pod(self, owner: Object, pod: Object) -> None:
        meta = pod["metadata"]
        try:
            await self.context.gated(
                self.client.delete("v1", "pods", meta["name"], namespace=meta["namespace"], uid=meta["uid"])
            )
        except BaseException as error:
            self.expectations.deletion_observed(object_key(owner), meta["uid"])
            if isinstance(error, ApiError) and (is_not_found(error) or is_conflict(error)):
                return  # it is gone, or the name belongs to another pod by now
            self.recorder.event(owner, "Warning", "FailedDelete", f"Error deleting: {error}")
            raise
        self.recorder.event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {meta['name']}")

    async def write_status(self, owner: Object, status: Object) -> Object:
        """PUT /status on the version we decided by: a conflict means that we decided by old facts."""
        return await self.client.update(self.gv, self.plural, {**owner, "status": status}, subresource="status")


async def _gather(work: Any, count: int) -> list[Exception | None]:
    results = await asyncio.gather(*(work(number) for number in range(count)), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, Exception):
            raise result
    return results  # type: ignore[return-value]
