"""Keeps the status of PodDisruptionBudgets, by which evictions (``kubectl drain``) are granted or refused."""

from __future__ import annotations

from typing import Any

from controllers.context import Context
from controllers.disruption.plan import compute_status, failed_status, needs_scale
from controllers.pods import is_pod_finished
from machinery.client.rest import resource_path
from machinery.meta.errors import ApiError, is_not_found
from machinery.meta.objects import controller_of, labels_of
from machinery.meta.selectors import LabelSelector, label_selector_from_dict
from machinery.runtime.controller import Controller

Object = dict[str, Any]
POLICY = "policy/v1"

#: Owners whose size we know where to read; others are asked by their scale subresource.
SIZED = {
    ("apps/v1", "ReplicaSet"): "replicasets", ("apps/v1", "StatefulSet"): "statefulsets",
    ("apps/v1", "Deployment"): "deployments", ("v1", "ReplicationController"): "replicationcontrollers",
}  # fmt: skip


class Disruption(Controller):
    name = "disruption"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.client, self.clock = context.client_for("disruption-controller"), context.clock
        self.recorder = context.recorder("controllermanager")
        self.budgets = context.namespaced(POLICY, "poddisruptionbudgets")
        self.pods = context.pods()
        self.sized = {key: context.owned(key[0], plural) for key, plural in SIZED.items()}
        self.budgets.add_handler(on_add=self.enqueue, on_update=self.enqueue_update)
        self.pods.add_handler(on_add=self._pod_changed, on_update=self._pod_updated, on_delete=self._pod_changed)
        for informer in self.sized.values():
            informer.add_handler(on_update=self._owner_updated)

    async def wait_synced(self) -> None:
        for informer in (self.budgets, self.pods, *self.sized.values()):
            await informer.wait_synced()

    def selector_of(self, budget: Object) -> LabelSelector:
        return label_selector_from_dict(budget["spec"].get("selector"))

    def _pod_changed(self, pod: Object) -> None:
        for budget in self.budgets.by_index("namespace", pod["metadata"]["namespace"]):
            if self.selector_of(budget).matches(labels_of(pod)):
                self.enqueue(budget)

    def _pod_updated(self, old: Object, new: Object) -> None:
        if not self.budgets.by_index("namespace", new["metadata"]["namespace"]):
            return
        self._pod_changed(new)
        if labels_of(old) != labels_of(new):
            self._pod_changed(old)

    def _owner_updated(self, old: Object, new: Object) -> None:
        if old["spec"].get("replicas") != new["spec"].get("replicas"):
            for budget in self.budgets.by_index("namespace", new["metadata"]["namespace"]):
                if needs_scale(budget):
                    self.enqueue(budget)

    async def sync(self, key: str) -> str | None:
        budget = self.budgets.get(key)
        if budget is None:
            return None
        now, selector = self.clock.now(), self.selector_of(budget)
        pods = [
            pod for pod in self.pods.by_index("namespace", budget["metadata"]["namespace"])
            if selector.matches(labels_of(pod)) and not is_pod_finished(pod)
        ]  # fmt: skip
        recheck: float | None = None
        try:
            scale = await self._scale(pods) if needs_scale(budget) else 0
            status, recheck = compute_status(budget, pods, scale, now)
        except LookupError as error:
            self.recorder.event(budget, "Warning", "CalculateExpectedPodCountFailed",
                                f"Failed to calculate the number of expected pods: {error}")  # fmt: skip
            status = failed_status(budget, str(error), now)
        if recheck is not None:
            self.queue.add_after(key, recheck + 0.1)
        if status == budget.get("status"):
            return None
        await self.client.update(POLICY, "poddisruptionbudgets", {**budget, "status": status}, subresource="status")
        return f"{status['disruptionsAllowed']} disruptions allowed"

    async def _scale(self, pods: list[Object]) -> int:
        """The sum of the sizes of the pods' owners. Raises LookupError for a pod whose owner has no size."""
        sizes: dict[str, int] = {}
        for pod in pods:
            reference = controller_of(pod)
            if reference is None:
                raise LookupError(f'found no controller ref for pod "{pod["metadata"]["name"]}"')
            uid, size = await self._size_of(pod["metadata"]["namespace"], reference)
            sizes[uid] = size
        return sum(sizes.values())

    async def _size_of(self, namespace: str, reference: Object) -> tuple[str, int]:
        key = (reference["apiVersion"], reference["kind"])
        if key in self.sized:
            owner = self.sized[key].get(f"{namespace}/{reference['name']}")
            if owner is None or owner["metadata"]["uid"] != reference["uid"]:
                return str(reference["uid"]), 0
            upper = controller_of(owner)
            if upper is not None and (upper["apiVersion"], upper["kind"]) in self.sized:
                return await self._size_of(namespace, upper)
            return str(reference["uid"]), int(owner["spec"].get("replicas") or 0)
        plural = reference["kind"].lower() + "s"
        path = resource_path(reference["apiVersion"], plural, namespace, reference["name"], "scale")
        try:
            scale = (await self.client.request("GET", path)).json()
        except ApiError as error:
            if not is_not_found(error):
                raise
            raise LookupError(f"{plural}.{reference['apiVersion'].partition('/')[0]} does not implement the scale "
                              "subresource") from error  # fmt: skip
        return str(reference["uid"]), int((scale.get("spec") or {}).get("replicas") or 0)


def build(context: Context) -> list[Controller]:
    return [Disruption(context)]
