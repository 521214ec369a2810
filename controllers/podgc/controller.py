"""The pod collector: sweeps every twenty seconds, and sooner when a node goes."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from controllers.context import Context
from controllers.podgc.plan import ending_out_of_service, orphaned, surplus_finished, unscheduled_ending
from controllers.pods import is_pod_finished
from machinery.client import ConnectError
from machinery.meta.errors import ApiError, is_conflict, is_not_found
from machinery.meta.objects import format_time

log = structlog.get_logger(__name__)
Object = dict[str, Any]

PERIOD_SECONDS = 20.0
#: A node may be re-created at once (a reinstallation); its pods get this long before they are called orphans.
QUARANTINE_SECONDS = 40.0


class PodGc:
    name = "pod-garbage-collector"

    def __init__(self, context: Context) -> None:
        self.context, self.client, self.clock = context, context.client_for("pod-garbage-collector"), context.clock
        self.pods = context.pods()
        self.nodes = context.informers.informer("v1", "nodes")
        self._missing_since: dict[str, float] = {}

    async def run(self, workers: int = 1) -> None:
        await self.pods.wait_synced()
        await self.nodes.wait_synced()
        while True:
            try:
                await self.sweep()
            except (ApiError, ConnectError) as error:
                log.info("sweep failed, will retry", controller=self.name, error=str(error))
            await self.clock.sleep(PERIOD_SECONDS)

    async def sweep(self) -> None:
        pods = self.pods.items()
        nodes = {node["metadata"]["name"]: node for node in self.nodes.items()}
        results: list[tuple[Object, str | None]] = []
        results += [(pod, None) for pod in surplus_finished(pods, self.context.options.terminated_pod_gc_threshold)]
        results += [(pod, None) for pod in unscheduled_ending(pods)]
        results += [(pod, "PodGC: node is out of service") for pod in ending_out_of_service(pods, nodes)]
        lost = await self._lost_nodes({pod["spec"]["nodeName"] for pod in orphaned(pods, set(nodes))})
        results += [
            (pod, "PodGC: node no longer exists") for pod in orphaned(pods, set(nodes))
            if pod["spec"]["nodeName"] in lost
        ]  # fmt: skip
        if results:
            log.info("collecting pods", controller=self.name, count=len(results))
            await asyncio.gather(*(self.context.gated(self._remove(pod, reason)) for pod, reason in results))

    async def _lost_nodes(self, names: set[str]) -> set[str]:
        """Nodes missing for the whole quarantine, and truly gone when the server is asked."""
        now = self.clock.monotonic()
        self._missing_since = {name: self._missing_since.get(name, now) for name in names}
        lost = set()
        for name, since in self._missing_since.items():
            if now - since < QUARANTINE_SECONDS:
                continue
            try:
                await self.client.get("v1", "nodes", name)
            except ApiError as error:
                if not is_not_found(error):
                    raise
                lost.add(name)
        return lost

    async def _remove(self, pod: Object, disrupted_by: str | None) -> None:
        meta = pod["metadata"]
        try:
            if not is_pod_finished(pod):
                status: Object = {"phase": "Failed"}
                if disrupted_by is not None:
                    status["conditions"] = [{
                        "type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC",
                        "message": disrupted_by, "lastTransitionTime": format_time(self.clock.now()),
                    }]  # fmt: skip
                await self.client.patch(
                    "v1", "pods", meta["name"], {"metadata": {"uid": meta["uid"]}, "status": status},
                    namespace=meta["namespace"], subresource="status", patch_type="strategic",
                )  # fmt: skip
            await self.client.delete(
                "v1", "pods", meta["name"], namespace=meta["namespace"], uid=meta["uid"], grace_period_seconds=0
            )
        except ApiError as error:
            if not is_not_found(error) and not is_conflict(error):
                raise


def build(context: Context) -> list[PodGc]:
    return [PodGc(context)]
