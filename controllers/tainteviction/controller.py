"""Evicts pods from nodes whose NoExecute taints they do not tolerate (any longer)."""

from __future__ import annotations

from typing import Any

from controllers.context import Context
from controllers.tainteviction.plan import eviction_at, no_execute_taints
from machinery.meta.conditions import set_condition
from machinery.meta.errors import ApiError, is_conflict, is_not_found
from machinery.meta.objects import format_time, is_terminating, object_key
from machinery.runtime.controller import Controller

Object = dict[str, Any]


class TaintEviction(Controller):
    """Key: the pod."""

    name = "taint-eviction"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.client, self.clock = context.client_for("node-controller"), context.clock
        self.recorder = context.recorder("taint-eviction-controller")
        self.pods = context.pods()
        self.nodes = context.informers.informer("v1", "nodes")
        self._scheduled: set[str] = set()
        self.pods.add_handler(on_add=self._pod_changed, on_update=self._pod_updated, on_delete=self._pod_deleted)
        self.nodes.add_handler(on_add=self._node_changed, on_update=self._node_updated)

    async def wait_synced(self) -> None:
        await self.pods.wait_synced()
        await self.nodes.wait_synced()

    def _pod_changed(self, pod: Object) -> None:
        if pod["spec"].get("nodeName") and no_execute_taints(self.nodes.get(pod["spec"]["nodeName"])):
            self.enqueue(pod)

    def _pod_updated(self, old: Object, new: Object) -> None:
        same = old["spec"].get("nodeName") == new["spec"].get("nodeName")
        if not same or old["spec"].get("tolerations") != new["spec"].get("tolerations"):
            self._pod_changed(new)

    def _pod_deleted(self, pod: Object) -> None:
        self._scheduled.discard(object_key(pod))

    def _node_changed(self, node: Object) -> None:
        if no_execute_taints(node):
            self._enqueue_pods(node)

    def _node_updated(self, old: Object, new: Object) -> None:
        if no_execute_taints(old) != no_execute_taints(new):
            self._enqueue_pods(new)

    def _enqueue_pods(self, node: Object) -> None:
        for pod in self.pods.by_index("node", node["metadata"]["name"]):
            self.enqueue(pod)

    async def sync(self, key: str) -> str | None:
        pod = self.pods.get(key)
        if pod is None or is_terminating(pod):
            self._scheduled.discard(key)
            return None
        now = self.clock.now()
        at = eviction_at(pod, no_execute_taints(self.nodes.get(pod["spec"].get("nodeName") or "")), now)
        if at is None:
            if key in self._scheduled:
                self._scheduled.discard(key)
                self.recorder.event(pod, "Normal", "TaintManagerEviction", f"Cancelling deletion of Pod {key}")
                return "eviction cancelled"
            return None
        wait = (at - now).total_seconds()
        if wait > 0:
            self._scheduled.add(key)
            self.queue.add_after(key, wait + 0.005)
            return None
        self._scheduled.discard(key)
        self.recorder.event(pod, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {key}")
        await self._evict(pod)
        return "evicted from a tainted node"

    async def _evict(self, pod: Object) -> None:
        meta, now = pod["metadata"], format_time(self.clock.now())
        conditions = set_condition((pod.get("status") or {}).get("conditions"), {
            "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
        }, now)  # fmt: skip
        target = next(item for item in conditions if item["type"] == "DisruptionTarget")
        try:
            await self.client.patch(
                "v1", "pods", meta["name"], {"metadata": {"uid": meta["uid"]}, "status": {"conditions": [target]}},
                namespace=meta["namespace"], subresource="status", patch_type="strategic",
            )  # fmt: skip
            await self.client.delete("v1", "pods", meta["name"], namespace=meta["namespace"], uid=meta["uid"])
        except ApiError as error:
            if not is_not_found(error) and not is_conflict(error):
                raise


def build(context: Context) -> list[Controller]:
    return [TaintEviction(context)]
