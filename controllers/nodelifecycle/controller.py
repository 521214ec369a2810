"""The node lifecycle controller: listens to heartbeats, tells when a node falls silent, taints, evicts by zone.

A node lives by its Lease (and by changes of its status). What counts is when THIS process saw the change, not the times
in the objects: machines with wrong clocks must not look dead. And who could not hear must not judge: after the API was
away, or this process slept, every node gets its whole grace period anew.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import structlog

from controllers.context import Context
from controllers.nodelifecycle import plan as pl
from machinery.client import ConnectError
from machinery.meta.conditions import get_condition
from machinery.meta.errors import ApiError, is_not_found
from machinery.meta.objects import format_time, labels_of
from machinery.runtime.controller import Controller

log = structlog.get_logger(__name__)
Object = dict[str, Any]


JUDGE_DELAY_SECONDS = 0.1
PROBE_SECONDS = 2.0


@dataclass
class _Health:
    heard_at: float
    grace: float
    lease_time: str = ""
    conditions: Any = None


class NodeLifecycle(Controller):
    """Key: the node."""

    name = "nodelifecycle"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context, self.clock, self.options = context, context.clock, context.options
        self.client = context.client_for("node-controller")
        self.recorder = context.recorder("node-controller")
        self.nodes = context.informers.informer("v1", "nodes")
        self.pods = context.pods()
        self.leases = context.informers.informer("coordination.k8s.io/v1", "leases", namespace="kube-node-lease")
        self._health: dict[str, _Health] = {}
        self._buckets: dict[str, pl.Bucket] = {}
        self._all_down = False
        self._judging = False
        self._silent: set[str] = set()
        self.nodes.add_handler(on_add=self._node_added, on_update=self._node_updated, on_delete=self._node_deleted)
        self.leases.add_handler(on_add=self._lease_seen, on_update=lambda old, new: self._lease_seen(new))

    async def wait_synced(self) -> None:
        for informer in (self.nodes, self.pods, self.leases):
            await informer.wait_synced()

    # --- hearing ------------------------------------------------------------------------------------------------

    def _node_added(self, node: Object) -> None:
        self._hear(node)
        self.enqueue(node)
        name = node["metadata"]["name"]
        message = f"Node {name} event: Registered Node {name} in Controller"
        self.recorder.event(node, "Normal", "RegisteredNode", message)

    def _node_updated(self, old: Object, new: Object) -> None:
        self._hear(new)
        if (
            old["spec"] != new["spec"] or labels_of(old) != labels_of(new)
            or _states(old) != _states(new)
        ):  # fmt: skip
            self.enqueue(new)
            if pl.ready_status(old) != pl.ready_status(new) and not self._judging:
                # Once for a crowd of nodes: the verdict looks at all of them.
                self._judging = True
                asyncio.get_running_loop().call_later(JUDGE_DELAY_SECONDS, self._judge_cluster)

    def _node_deleted(self, node: Object) -> None:
        name = node["metadata"]["name"]
        self._health.pop(name, None)
        message = f"Node {name} event: Removing Node {name} from Controller"
        self.recorder.event(node, "Normal", "RemovingNode", message)

    def _hear(self, node: Object) -> None:
        name, now = node["metadata"]["name"], self.clock.monotonic()
        conditions = node.get("status", {}).get("conditions")
        reported = pl.ready_status(node) != ""
        grace = self.options.node_monitor_grace_period if reported else self.options.node_startup_grace_period
        health = self._health.get(name)
        if health is None:
            self._health[name] = _Health(now, grace, conditions=conditions)
            return
        health.grace = grace
        if conditions != health.conditions:
            health.conditions = conditions
            # Our own verdict is no sign of life.
            ready = get_condition(conditions, "Ready") or {}
            if ready.get("reason") not in ("NodeStatusUnknown", "NodeStatusNeverUpdated"):
                health.heard_at = now

    def _lease_seen(self, lease: Object) -> None:
        name = lease["metadata"]["name"]
        health = self._health.get(name)
        renewed = (lease.get("spec") or {}).get("renewTime") or ""
        if health is not None and renewed != health.lease_time:
            health.lease_time, health.heard_at = renewed, self.clock.monotonic()

    # --- judging ------------------------------------------------------------------------------------------------

    async def run(self, workers: int = 4) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(super().run(workers), name="nodelifecycle-workers")
            group.create_task(self._monitor(), name="nodelifecycle-monitor")

    async def _monitor(self) -> None:
        await self.wait_synced()
        listened_at = self.clock.monotonic()
        while True:
            hears = await self._hears()
            now = self.clock.monotonic()
            if hears and now - listened_at > 2 * self.options.node_monitor_period + PROBE_SECONDS:
                log.info("could not listen for a while, giving all nodes new time", seconds=round(now - listened_at, 1))
                self._hear_all()
            if hears:
                listened_at = now
                self._judge_cluster()
                self._silent = {name for name, health in self._health.items() if now - health.heard_at > health.grace}
                for name in self._silent:
                    self.queue.add(name)
            await self.clock.sleep(self.options.node_monitor_period)

    async def _hears(self) -> bool:
        try:
            await self.client.request("GET", "/livez", timeout_seconds=PROBE_SECONDS)
        except (ApiError, ConnectError):
            return False
        return True

    def _hear_all(self) -> None:
        for health in self._health.values():
            health.heard_at = self.clock.monotonic()

    def _judge_cluster(self) -> None:
        """When the last zone goes down nobody is evicted any more; when the first comes back all get a new chance."""
        self._judging = False
        zones = self._zones()
        down = bool(zones) and all(
            pl.zone_state(nodes, self.options.unhealthy_zone_threshold) == pl.FULL for nodes in zones.values()
        )
        if self._all_down and not down:
            self._hear_all()
        if down != self._all_down:
            self._all_down = down
            for node in self.nodes.items():
                self.enqueue(node)

    def _zones(self) -> dict[str, list[Object]]:
        zones: dict[str, list[Object]] = {}
        for node in self.nodes.items():
            zones.setdefault(pl.zone_of(node), []).append(node)
        return zones

    async def sync(self, key: str) -> str | None:
        node = self.nodes.get(key)
        if node is None:
            return None
        if self._is_silent(key):
            conditions = pl.silent_conditions(node, self.clock.now())
            if conditions is not None:
                was_ready = pl.ready_status(node) == "True"
                node = await self._write_conditions(node, conditions)
                if was_ready:
                    self.recorder.event(node, "Normal", "NodeNotReady", f"Node {key} status is now: NodeNotReady")
        if pl.ready_status(node) == "Unknown":
            await self._mark_pods_not_ready(key)
        taints = pl.plan_taints(node, self.clock.now(), may_evict=self._may_evict(node))
        if taints is None:
            return None
        before = node.get("spec", {}).get("taints") or []
        await self.client.patch("v1", "nodes", key, {
            "metadata": {"resourceVersion": node["metadata"]["resourceVersion"]}, "spec": {"taints": taints or None},
        })  # fmt: skip
        return f"changed taints from {_names(before)} to {_names(taints)}"

    def _is_silent(self, name: str) -> bool:
        """Found silent by the monitor, and not heard since."""
        health = self._health.get(name)
        return (
            health is not None and name in self._silent and self.clock.monotonic() - health.heard_at > health.grace
        )

    def _may_evict(self, node: Object) -> bool:
        if not pl.needs_first_no_execute(node):
            return False
        zone = pl.zone_of(node)
        nodes = self._zones().get(zone, [node])
        rate = pl.eviction_rate(
            pl.zone_state(nodes, self.options.unhealthy_zone_threshold), len(nodes), all_down=self._all_down,
            rate=self.options.node_eviction_rate, secondary_rate=self.options.secondary_node_eviction_rate,
            large_size=self.options.large_cluster_size_threshold,
        )  # fmt: skip
        wait = self._buckets.setdefault(zone, pl.Bucket(at=self.clock.monotonic())).try_take(
            self.clock.monotonic(), rate
        )
        if wait:
            self.queue.add_after(node["metadata"]["name"], min(wait, 10.0) + 0.01)
        return wait == 0

    async def _write_conditions(self, node: Object, conditions: list[Object]) -> Object:
        status = {**(node.get("status") or {}), "conditions": conditions}
        return await self.client.update("v1", "nodes", {**node, "status": status}, subresource="status")

    async def _mark_pods_not_ready(self, node_name: str) -> None:
        """A silent node's pods must leave the Services; its agent cannot say so."""
        for pod in self.pods.by_index("node", node_name):
            ready = get_condition(pod.get("status", {}).get("conditions"), "Ready")
            if ready is None or ready.get("status") != "True":
                continue
            now = format_time(self.clock.now())
            patch = {"status": {"conditions": [{**ready, "status": "False", "lastTransitionTime": now}]}}
            meta = pod["metadata"]
            self.recorder.event(pod, "Warning", "NodeNotReady", "Node is not ready")
            try:
                await self.client.patch(
                    "v1", "pods", meta["name"], patch, namespace=meta["namespace"], subresource="status",
                    patch_type="strategic",
                )  # fmt: skip
            except ApiError as error:
                if not is_not_found(error):
                    raise


def _states(node: Object) -> list[tuple[str, str]]:
    return [(item["type"], item.get("status", "")) for item in node.get("status", {}).get("conditions") or ()]


def _names(taints: list[Object]) -> str:
    return "[" + ", ".join(f"{taint['key']}:{taint['effect']}" for taint in taints) + "]"


def build(context: Context) -> list[Controller]:
    return [NodeLifecycle(context)]
