"""Registers the node and keeps its status and lease current.

The lease every ten seconds is the heartbeat; the status goes out when something changed, and every five minutes in any
case. Both go on while the API server is away, so that a node is never late by more than a back-off when it returns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from kubelet.cri import CriError, Runtime
from kubelet.node.machine import Machine, read_disk, read_machine, read_pressure
from kubelet.node.status import (
    NodeSettings,
    RuntimeFacts,
    base_labels,
    compute_node,
    compute_node_status,
    differs,
)
from machinery.client import Client, ConnectError
from machinery.meta.errors import ApiError, is_already_exists, is_conflict, is_not_found
from machinery.meta.objects import format_micro_time, format_time
from machinery.runtime.clock import SYSTEM_CLOCK, Clock

log = structlog.get_logger(__name__)

LEASE_SECONDS = 10.0
LEASE_DURATION_SECONDS = 40
LEASE_NAMESPACE = "kube-node-lease"
CHECK_SECONDS = 10.0
NOT_READY_CHECK_SECONDS = 0.25
REPORT_SECONDS = 300.0
RETRY_SECONDS = 1.0

Node = dict[str, Any]


class NodeReporter:
    def __init__(
        self, client: Client, runtime: Runtime, settings: NodeSettings, root: Path, *,
        on_node: Callable[[Node], None] = lambda node: None, clock: Clock = SYSTEM_CLOCK,
    ) -> None:  # fmt: skip
        self._client, self._runtime, self._settings, self._root, self._clock = client, runtime, settings, root, clock
        self.on_node = on_node
        self.machine: Machine = read_machine()
        self.node: Node | None = None
        self._reported_at = 0.0
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Something that the status shows changed (an image, the network)."""
        self._wake.set()

    # -- registration

    async def register(self) -> Node:
        """Until the API has the node. An existing one is taken over: its labels and annotation are completed."""
        while True:
            try:
                self.node = await self._register_once()
                self.on_node(self.node)
                return self.node
            except (ApiError, ConnectError) as error:
                log.info("node not registered yet", error=str(error))
            await self._clock.sleep(RETRY_SECONDS)

    async def sketch(self) -> Node:
        """The node as this machine sees it, without the API: enough to run static pods on."""
        node = compute_node(self.machine, read_disk(self._root), self._settings)
        node["status"] = await self.compute({})
        return node

    async def _register_once(self) -> Node:
        wanted = await self.sketch()
        try:
            node = await self._client.create("v1", "nodes", wanted)
            log.info("node registered", node=self._settings.name)
            self._reported_at = self._clock.monotonic()
            return node
        except ApiError as error:
            if not is_already_exists(error):
                raise
        return await self._reconcile(await self._client.get("v1", "nodes", self._settings.name))

    async def _reconcile(self, node: Node) -> Node:
        labels = base_labels(self.machine, self._settings)
        annotations = {"volumes.kubernetes.io/controller-managed-attach-detach": "true"}
        have = node["metadata"]
        patch: dict[str, Any] = {}
        for key, wanted in (("labels", labels), ("annotations", annotations)):
            missing = {name: value for name, value in wanted.items() if (have.get(key) or {}).get(name) != value}
            if missing:
                patch[key] = missing
        if patch:
            node = await self._client.patch("v1", "nodes", self._settings.name, {"metadata": patch})
        return node

    # -- status

    async def runtime_facts(self) -> RuntimeFacts:
        try:
            version, status, images = await asyncio.gather(
                self._runtime.version(), self._runtime.status(), self._runtime.list_images()
            )
        except CriError as error:
            return RuntimeFacts(problem=f"[container runtime is down: {error.message}]")
        problems = []
        for condition in status.status.conditions:
            if not condition.status and condition.type == "RuntimeReady":
                problems.append(f"container runtime not ready: RuntimeReady={condition.status} "
                                f"reason:{condition.reason} message:{condition.message}")  # fmt: skip
            if not condition.status and condition.type == "NetworkReady":
                problems.append(f"container runtime network not ready: NetworkReady=false "
                                f"reason:{condition.reason} message:{condition.message}")  # fmt: skip
        names = [([*image.repo_digests, *image.repo_tags], image.size) for image in images]
        return RuntimeFacts(
            version=f"{version.runtime_name}://{version.runtime_version.removeprefix('v').split('~')[0]}",
            problem="; ".join(problems), images=names,
            handlers=["", *(handler.name for handler in status.runtime_handlers if handler.name)],
        )  # fmt: skip

    async def compute(self, before: dict[str, Any]) -> dict[str, Any]:
        now = format_time(self._clock.now())
        facts = await self.runtime_facts()
        return compute_node_status(
            self.machine, read_pressure(self._root), facts, self._settings, before, now
        )

    async def run_status(self) -> None:
        """Looks often while the node is not ready (its network is about to come), rarely after that."""
        while True:
            delay = CHECK_SECONDS
            try:
                if not await self.report():
                    delay = NOT_READY_CHECK_SECONDS
            except (ApiError, ConnectError) as error:
                log.info("node status not written", error=str(error))
                delay = RETRY_SECONDS
            self._wake.clear()
            try:
                async with asyncio.timeout(delay):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def report(self) -> bool:
        """Writes the status if it changed or is old; whether the node is ready."""
        node = self.node or await self.register()
        status = await self.compute(node.get("status") or {})
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status["conditions"])
        due = self._clock.monotonic() - self._reported_at >= REPORT_SECONDS
        if not due and not differs(node.get("status") or {}, status):
            return ready
        try:
            node = await self._client.patch(
                "v1", "nodes", self._settings.name, {"status": status}, subresource="status"
            )
        except ApiError as error:
            if is_not_found(error):
                log.info("node object is gone, registering again")
                self.node = None
                await self.register()
                return False
            raise
        self._reported_at = self._clock.monotonic()
        self.observe(node)
        return ready

    def observe(self, node: Node) -> None:
        """The API's newest copy: from our write, or from the watch."""
        self.node = node
        self.on_node(node)

    def lose(self) -> None:
        """The object was deleted: the next look registers the node again."""
        self.node = None
        self.wake()

    # -- lease

    async def run_lease(self) -> None:
        lease: dict[str, Any] | None = None
        while True:
            try:
                lease = await self._renew(lease)
                delay = LEASE_SECONDS
            except (ApiError, ConnectError) as error:
                log.info("lease not renewed", error=str(error))
                lease, delay = None, RETRY_SECONDS
            await self._clock.sleep(delay)

    async def _renew(self, lease: dict[str, Any] | None) -> dict[str, Any]:
        if lease is None:
            try:
                lease = await self._client.get(
                    "coordination.k8s.io/v1", "leases", self._settings.name, namespace=LEASE_NAMESPACE
                )
            except ApiError as error:
                if not is_not_found(error):
                    raise
                return await self._client.create("coordination.k8s.io/v1", "leases", self._lease())
        wanted = {**lease, "spec": self._lease()["spec"]}
        wanted["metadata"] = {**lease["metadata"], **self._lease()["metadata"]}
        try:
            return await self._client.update("coordination.k8s.io/v1", "leases", wanted)
        except ApiError as error:
            if is_conflict(error):
                return await self._renew(None)
            raise

    def _lease(self) -> dict[str, Any]:
        meta: dict[str, Any] = {"name": self._settings.name, "namespace": LEASE_NAMESPACE}
        if self.node is not None:
            meta["ownerReferences"] = [
                {"apiVersion": "v1", "kind": "Node", "name": self._settings.name, "uid": self.node["metadata"]["uid"]}
            ]
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": meta,
            "spec": {
                "holderIdentity": self._settings.name,
                "leaseDurationSeconds": LEASE_DURATION_SECONDS,
                "renewTime": format_micro_time(self._clock.now()),
            },
        }
