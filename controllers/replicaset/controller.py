"""ReplicaSet and ReplicationController: keep N pods of one template. Two kinds, one loop."""

from __future__ import annotations

from typing import Any

from controllers.context import Context
from controllers.pod_owner import BURST, PodOwnerController
from controllers.pods import is_pod_active, is_pod_ending, pod_from_template, seconds_to_availability
from controllers.replicaset.plan import compute_status, plan_replicas
from machinery.meta.objects import controller_of, is_terminating, labels_of
from machinery.meta.selectors import LabelSelector, label_selector_from_dict

Object = dict[str, Any]


class ReplicaSetController(PodOwnerController):
    name = "replicaset"
    gv, plural, kind = "apps/v1", "replicasets", "ReplicaSet"
    component = "replicaset-controller"
    counts_terminating = True

    async def sync(self, key: str) -> str | None:
        owner = self.owners.get(key)
        if owner is None:
            self.expectations.forget(key)
            return None
        now = self.clock.now()
        uid = owner["metadata"]["uid"]
        candidates = [
            *self.pods.by_index("controller", uid), *self.pods.by_index("orphan", owner["metadata"]["namespace"]),
        ]  # fmt: skip
        satisfied = self.expectations.satisfied(key)
        active = await self.claim(owner, [pod for pod in candidates if is_pod_active(pod)])
        failure: tuple[str, str] | None = None
        error: Exception | None = None
        decided = None
        if satisfied and not is_terminating(owner):
            plan = plan_replicas(owner, active, self._related(owner), now, BURST)
            if plan.create:
                pod = pod_from_template(owner["spec"]["template"], owner, self.reference_to(owner))
                done, error = await self.create_pods(owner, [pod] * plan.create)
                decided = f"created {done} of {plan.create} pods"
                failure = ("FailedCreate", str(error)) if error else None
            elif plan.delete:
                done, error = await self.delete_pods(owner, plan.delete)
                decided = f"deleted {done} of {len(plan.delete)} pods"
                failure = ("FailedDelete", str(error)) if error else None
        elif (current := _failure(owner)) is not None:
            failure = current
        matches = self.selector_of(owner).matches
        ending = sum(
            1 for pod in self.pods.by_index("controller", uid) if is_pod_ending(pod) and matches(labels_of(pod))
        )
        status = compute_status(owner, active, ending if self.counts_terminating else None, failure, now)
        if status != owner.get("status"):
            await self.write_status(owner, status)
        if error is not None:
            raise error
        wait = seconds_to_availability(active, int(owner["spec"].get("minReadySeconds") or 0), now)
        if wait is not None:
            self.queue.add_after(key, wait + 0.01)
        return decided

    def _related(self, owner: Object) -> list[Object]:
        reference = controller_of(owner)
        siblings = self.owners.by_index("controller", reference["uid"]) if reference is not None else [owner]
        return [pod for sibling in siblings for pod in self.pods.by_index("controller", sibling["metadata"]["uid"])]


class ReplicationControllerController(ReplicaSetController):
    name = "replicationcontroller"
    gv, plural, kind = "v1", "replicationcontrollers", "ReplicationController"
    component = "replication-controller"
    counts_terminating = False

    def selector_of(self, owner: Object) -> LabelSelector:
        return label_selector_from_dict({"matchLabels": owner["spec"].get("selector") or {}})


def _failure(owner: Object) -> tuple[str, str] | None:
    """A failure that stands while the outcome of the last attempt is still on its way."""
    for condition in owner.get("status", {}).get("conditions") or ():
        if condition["type"] == "ReplicaFailure":
            return condition.get("reason", ""), condition.get("message", "")
    return None


def build(context: Context) -> list[PodOwnerController]:
    return [ReplicaSetController(context)]


def build_replication_controller(context: Context) -> list[PodOwnerController]:
    return [ReplicationControllerController(context)]


