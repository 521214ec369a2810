"""The scheduler's edge: informers fill the table and the queue, decisions become bindings, refusals become events.

Everything that decides lives in ``cycle``, ``preemption`` and ``queue``; this module is dull on purpose.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter as Reasons
from typing import Any

import structlog
from prometheus_client import Counter, Gauge, Histogram

from machinery.cache import InformerFactory
from machinery.client import Client, ConnectError
from machinery.meta.conditions import get_condition
from machinery.meta.errors import ApiError, is_not_found
from machinery.meta.objects import format_time, object_key
from machinery.meta.selectors import label_selector_from_dict
from machinery.runtime.clock import SYSTEM_CLOCK, Clock
from machinery.runtime.events import EventRecorder
from machinery.runtime.tasks import Tasks
from scheduler.cycle import Profile, Unfit
from scheduler.default_spread import owner_key, with_default_spread
from scheduler.node_table import NodeTable
from scheduler.pod_info import PodInfo, pod_info
from scheduler.preemption import Preemption, plan_preemption
from scheduler.queue import QueuedPod, SchedulingQueue
from scheduler.volumes import VolumeBinding

log = structlog.get_logger(__name__)
Object = dict[str, Any]

BINDINGS_IN_FLIGHT = 64
DECISIONS_PER_TURN = 32

ATTEMPTS = Counter("scheduler_schedule_attempts_total", "Attempts to schedule pods, by the result.", ["result"])
DECISION = Histogram(
    "scheduler_scheduling_algorithm_duration_seconds", "Scheduling algorithm latency in seconds.",
    buckets=(0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1),
)  # fmt: skip
PENDING = Gauge("scheduler_pending_pods", "Pending pods, by the place in the queue.", ["queue"])


class Scheduler:
    """Places the pods that name this scheduler."""

    def __init__(
        self, client: Client, *, name: str = "default-scheduler", clock: Clock = SYSTEM_CLOCK,
        rng: random.Random | None = None,
    ) -> None:
        self.name = name
        self._client, self._clock, self._rng = client, clock, rng or random.Random()
        self.table = NodeTable()
        self.queue = SchedulingQueue(clock.monotonic)
        self.profile = Profile()
        self.events = EventRecorder(client, name, clock=clock)
        self._assumed: dict[str, str] = {}
        self._nominated: dict[str, tuple[str, PodInfo]] = {}
        self._binding = asyncio.Semaphore(BINDINGS_IN_FLIGHT)
        self.tasks = Tasks("scheduler")
        self._informers = InformerFactory(client, transform=_slim)
        self._services = self._informers.informer(
            "v1", "services", indexers={"namespace": lambda o: [o["metadata"]["namespace"]]}
        )
        self._owners = {
            "replicasets": self._informers.informer("apps/v1", "replicasets"),
            "statefulsets": self._informers.informer("apps/v1", "statefulsets"),
            "replicationcontrollers": self._informers.informer("v1", "replicationcontrollers"),
        }
        self._claims = self._informers.informer("v1", "persistentvolumeclaims")
        self._volumes = self._informers.informer("v1", "persistentvolumes")
        self._budgets = self._informers.informer("policy/v1", "poddisruptionbudgets")
        self._volume_binding = VolumeBinding(self._claims.get, self._volumes.get)
        self.profile.filters.insert(5, self._volume_binding)
        for volumes in (self._claims, self._volumes):
            volumes.add_handler(on_add=self._on_volume, on_update=lambda old, new: self._on_volume(new))
        self._namespaces = self._informers.informer("v1", "namespaces")
        self._namespaces.add_handler(
            on_add=self._on_namespace, on_update=lambda old, new: self._on_namespace(new),
            on_delete=lambda obj: self.table.remove_namespace(obj["metadata"]["name"]),
        )  # fmt: skip
        self._nodes = self._informers.informer("v1", "nodes")
        self._nodes.add_handler(on_add=self._on_node, on_update=self._on_node_update, on_delete=self._on_node_gone)
        self._pods = self._informers.informer("v1", "pods")
        self._pods.add_handler(on_add=self._on_pod, on_update=self._on_pod_update, on_delete=self._on_pod_gone)

    @property
    def synced(self) -> bool:
        return self._pods.synced and self._nodes.synced

    async def run(self) -> None:
        """Schedule until cancelled."""
        async with self.tasks:
            self._informers.start(self.tasks)
            self.tasks.spawn("events", self.events.run())
            await self.tasks.unless_failed(self._informers.wait_synced())
            log.info("scheduler started", nodes=len(self.table), pending=len(self.queue))
            self.tasks.spawn("cycle", self._cycle())
            await self.tasks.wait()

    # --- what the cluster says ----------------------------------------------------------------------------------

    def _on_node(self, node: Object) -> None:
        self.table.set_node(node)
        self.queue.move("node")

    def _on_node_update(self, old: Object, new: Object) -> None:
        if not _node_changed(old, new):
            return
        self.table.set_node(new)
        self.queue.move("node")

    def _on_node_gone(self, node: Object) -> None:
        self.table.remove_node(node["metadata"]["name"])

    def _on_namespace(self, namespace: Object) -> None:
        self.table.set_namespace(namespace["metadata"]["name"], namespace["metadata"].get("labels") or {})
        self.queue.move("namespace")

    def _on_volume(self, _obj: Object) -> None:
        self.queue.move("volume")

    def _on_pod(self, pod: Object) -> None:
        if _is_finished(pod):
            self._forget(object_key(pod), pod)
        elif pod["spec"].get("nodeName"):
            self._on_bound(pod)
        elif self._is_ours(pod):
            self.queue.add(self._info(pod))
        else:
            self.queue.remove(object_key(pod))

    def _on_pod_update(self, old: Object, new: Object) -> None:
        if old["metadata"].get("uid") != new["metadata"].get("uid"):
            self._on_pod_gone(old)
            self._on_pod(new)
        elif _pod_changed(old, new):
            if old["spec"].get("nodeName") and _is_finished(new):
                self._on_pod_gone(new)
            else:
                self._on_pod(new)

    def _on_bound(self, pod: Object) -> None:
        info = pod_info(pod)
        assumed = self._assumed.pop(info.key, None)
        if assumed and assumed != info.node_name:
            self.table.remove_pod(info, assumed)
        self.table.add_pod(info, info.node_name)
        self._nominated.pop(info.key, None)
        self.queue.remove(info.key)
        self.queue.move("pod-bound")

    def _on_pod_gone(self, pod: Object) -> None:
        self._forget(object_key(pod), pod)
        self.queue.move("pod-gone")
        for key, (node, _) in list(self._nominated.items()):
            if node == pod["spec"].get("nodeName"):
                self.queue.activate(key)

    def _forget(self, key: str, pod: Object) -> None:
        node = pod["spec"].get("nodeName") or self._assumed.pop(key, "")
        self._assumed.pop(key, None)
        self._nominated.pop(key, None)
        self.queue.remove(key)
        if node:
            self.table.remove_pod(pod_info(pod), node)

    def _is_ours(self, pod: Object) -> bool:
        """Ours to place: names this scheduler, no gates, not going away, no device claims (they need an allocator)."""
        spec = pod["spec"]
        return (
            (spec.get("schedulerName") or "default-scheduler") == self.name
            and not spec.get("schedulingGates") and not pod["metadata"].get("deletionTimestamp")
            and not spec.get("resourceClaims")
        )  # fmt: skip

    def _info(self, pod: Object) -> PodInfo:
        info = pod_info(pod)
        if info.spread:
            return info
        key = owner_key(pod)
        owner = self._owners[key[0]].get(key[1]) if key else None
        return with_default_spread(info, self._services.by_index("namespace", info.namespace), owner)

    # --- deciding -----------------------------------------------------------------------------------------------

    async def _cycle(self) -> None:
        while True:
            queued: QueuedPod | None = await self.queue.pop()
            for _ in range(DECISIONS_PER_TURN):
                if queued is None:
                    break
                await self._binding.acquire()
                self._decide(queued)
                queued = self.queue.pop_now()
            if queued is not None:
                await self._binding.acquire()
                self._decide(queued)
            # Let the informers and the bindings have their turn.
            await asyncio.sleep(0)

    def _decide(self, queued: QueuedPod) -> None:
        """One decision; the caller holds a binding slot, which passes on to the task that acts."""
        pod = queued.info
        started = self._clock.monotonic()
        hindrance = self._volume_binding.hindrance(pod) if pod.claims else ""
        others = [(node, info) for key, (node, info) in self._nominated.items()
                  if key != pod.key and info.priority >= pod.priority]  # fmt: skip
        for node, info in others:
            self.table.add_pod(info, node)
        try:
            if hindrance:
                nodes = len(self.table)
                refused = frozenset({self._volume_binding.name})
                result: str | Unfit = Unfit(nodes, Reasons(), refused, unhelpful=nodes, hindrance=hindrance)
            else:
                result = self.profile.schedule(self.table, pod, self._rng)
            plan = None
            if isinstance(result, Unfit):
                plan = plan_preemption(self.profile, self.table, pod, result, self._budget_violations)
        finally:
            for node, info in others:
                self.table.remove_pod(info, node)
        DECISION.observe(self._clock.monotonic() - started)
        if isinstance(result, str):
            self._assumed[pod.key] = result
            self.table.add_pod(pod, result)
            self.tasks.spawn(f"bind-{pod.key}", self._bind(queued, result), may_end=True)
        else:
            assert plan is not None
            self.queue.failed(queued, result.plugins)
            self.tasks.spawn(f"refuse-{pod.key}", self._refuse(queued, result, plan), may_end=True)
        for place in ("active", "backoff", "unschedulable"):
            PENDING.labels(place).set(0 if not len(self.queue) else self.queue.count(place))

    def _budget_violations(self, victims: Any) -> int:
        count = 0
        spent: dict[str, int] = {}
        for victim in victims:
            for budget in self._budgets.items():
                if budget["metadata"]["namespace"] != victim.namespace:
                    continue
                if not label_selector_from_dict(budget["spec"].get("selector")).matches(victim.labels):
                    continue
                key = object_key(budget)
                spent[key] = spent.get(key, 0) + 1
                if spent[key] > int((budget.get("status") or {}).get("disruptionsAllowed") or 0):
                    count += 1
                    break
        return count

    # --- acting -------------------------------------------------------------------------------------------------

    async def _bind(self, queued: QueuedPod, node: str) -> None:
        pod = queued.info
        try:
            await self._client.create(
                "v1", "pods",
                {
                    "apiVersion": "v1", "kind": "Binding",
                    "metadata": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
                    "target": {"apiVersion": "v1", "kind": "Node", "name": node},
                },
                namespace=pod.namespace, name=pod.name, subresource="binding",
            )  # fmt: skip
        except (ApiError, ConnectError) as error:
            ATTEMPTS.labels("error").inc()
            self._undo(pod, node)
            if is_not_found(error):
                self.queue.done(queued)
                return
            log.warning("binding refused", pod=pod.key, node=node, error=str(error))
            self.queue.failed(queued, frozenset(), retry=True)
            return
        finally:
            self._binding.release()
        ATTEMPTS.labels("scheduled").inc()
        self.queue.done(queued)
        self._nominated.pop(pod.key, None)
        log.debug("bound", pod=pod.key, node=node)
        self.events.event(
            _described(pod), "Normal", "Scheduled", f"Successfully assigned {pod.key} to {node}"
        )

    def _undo(self, pod: PodInfo, node: str) -> None:
        if self._assumed.pop(pod.key, None) is not None:
            self.table.remove_pod(pod, node)

    async def _refuse(self, queued: QueuedPod, unfit: Unfit, plan: Preemption) -> None:
        pod = queued.info
        ATTEMPTS.labels("unschedulable").inc()
        try:
            if plan.node:
                self._nominated[pod.key] = (plan.node, pod)
                await self._evict(pod, plan)
            extra = ", ".join(text for text in ("no new claims to deallocate", plan.message) if text)
            message = unfit.message(extra if unfit.nodes else "")
            if plan.node:
                message = unfit.message()
            log.info("fits nowhere", pod=pod.key, why=message, nominated=plan.node)
            self.events.event(_described(pod), "Warning", "FailedScheduling", message)
            await self._write_condition(pod, message, plan.node)
            if plan.node and not plan.victims:
                self.queue.activate(pod.key)
        except (ApiError, ConnectError) as error:
            if not is_not_found(error):
                log.info("refusal not written", pod=pod.key, error=str(error))
        finally:
            self._binding.release()

    async def _write_condition(self, pod: PodInfo, message: str, nominated: str) -> None:
        now = format_time(self._clock.now())
        status: Object = {}
        current = self._pods.get(pod.key) or pod.obj
        old = get_condition((current.get("status") or {}).get("conditions"), "PodScheduled")
        if old is None or (old.get("reason"), old.get("message")) != ("Unschedulable", message):
            condition = {
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
                "lastProbeTime": None, "lastTransitionTime": (old or {}).get("lastTransitionTime") or now,
                "observedGeneration": current["metadata"].get("generation"),
            }  # fmt: skip
            status["conditions"] = [condition]
        if nominated and (current.get("status") or {}).get("nominatedNodeName") != nominated:
            status["nominatedNodeName"] = nominated
        if status:
            await self._client.patch(
                "v1", "pods", pod.name, {"metadata": {"uid": pod.uid}, "status": status}, namespace=pod.namespace,
                subresource="status", patch_type="strategic",
            )  # fmt: skip

    async def _evict(self, pod: PodInfo, plan: Preemption) -> None:
        now = format_time(self._clock.now())
        for victim in plan.victims:
            condition = {
                "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
                "message": f"{self.name}: preempting to accommodate a higher priority pod",
                "lastProbeTime": None, "lastTransitionTime": now,
            }  # fmt: skip
            try:
                await self._client.patch(
                    "v1", "pods", victim.name, {"metadata": {"uid": victim.uid}, "status": {"conditions": [condition]}},
                    namespace=victim.namespace, subresource="status", patch_type="strategic",
                )  # fmt: skip
                await self._client.delete("v1", "pods", victim.name, namespace=victim.namespace, uid=victim.uid)
            except ApiError as error:
                if not is_not_found(error):
                    raise
            log.info("preempted", pod=pod.key, victim=victim.key, node=plan.node)
            self.events.event(
                _described(victim), "Normal", "Preempted", f"Preempted by pod {pod.uid} on node {plan.node}"
            )


def _described(pod: PodInfo) -> Object:
    meta = pod.obj["metadata"]
    reference = {
        "apiVersion": "v1", "kind": "Pod", "namespace": pod.namespace, "name": pod.name, "uid": pod.uid,
        "resourceVersion": meta.get("resourceVersion", ""),
    }  # fmt: skip
    return {"reference": reference}


def _is_finished(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _pod_changed(old: Object, new: Object) -> bool:
    """Whether anything the scheduler looks at differs; status writes of running pods mostly do not."""
    a, b = old["metadata"], new["metadata"]
    return (
        old["spec"] != new["spec"] or a.get("labels") != b.get("labels")
        or a.get("deletionTimestamp") != b.get("deletionTimestamp") or _is_finished(old) != _is_finished(new)
    )  # fmt: skip


def _node_changed(old: Object, new: Object) -> bool:
    a, b = old.get("status") or {}, new.get("status") or {}
    return (
        old["metadata"].get("labels") != new["metadata"].get("labels") or old.get("spec") != new.get("spec")
        or a.get("allocatable") != b.get("allocatable") or a.get("images") != b.get("images")
    )  # fmt: skip


def _slim(obj: Object) -> Object:
    """Drop what the scheduler never reads before an object enters the cache."""
    obj["metadata"].pop("managedFields", None)
    kind = obj.get("kind")
    if kind in ("ReplicaSet", "StatefulSet", "ReplicationController"):
        obj["spec"] = {"selector": obj["spec"].get("selector")}
        obj.pop("status", None)
    elif kind == "Pod":
        status = obj.get("status") or {}
        obj["status"] = {
            key: status[key] for key in ("phase", "conditions", "nominatedNodeName", "startTime") if key in status
        }
    return obj
