"""Scheduler throughput, end to end: our API server and our scheduler as processes, fake nodes, real bindings.

    python -m bench.scheduler [--nodes 5000] [--pods 5000] [--kind plain|spread|anti] [--store sqlite|memory|etcd]

Creates the nodes, starts the scheduler, creates the pods as fast as it can, and counts pods that have a node. Prints
JSON: pods per second from the first creation to the last binding, and from the last creation on (the scheduler's own part).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path

import psutil

from machinery.client import Client
from tests.support.processes import ControlPlane

KINDS: dict[str, dict[str, object]] = {
    "plain": {},
    "spread": {
        "topologySpreadConstraints": [
            {
                "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"app": "bench"}},
            }
        ]
    },
    "anti": {
        "affinity": {
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "bench"}}}
                ]
            }
        }
    },
}  # fmt: skip


def node(number: int) -> dict[str, object]:
    capacity = {"cpu": "32", "memory": "64Gi", "pods": "110", "ephemeral-storage": "100Gi"}
    return {
        "metadata": {
            "name": f"node-{number:05d}",
            "labels": {
                "kubernetes.io/hostname": f"node-{number:05d}", "topology.kubernetes.io/zone": f"z{number % 10}",
            },
        },
        "status": {
            "capacity": capacity, "allocatable": capacity,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        },
    }  # fmt: skip


def pod(number: int, kind: str) -> dict[str, object]:
    return {
        "metadata": {"name": f"pod-{number:05d}", "labels": {"app": "bench"}},
        "spec": {
            "automountServiceAccountToken": False,
            "containers": [
                {"name": "c", "image": "x", "resources": {"requests": {"cpu": "100m", "memory": "100Mi"}}}
            ],
            **KINDS[kind],
        },
    }  # fmt: skip


async def create_all(client: Client, plural: str, objects: list[dict[str, object]], namespace: str | None) -> None:
    queue = list(reversed(objects))

    async def work() -> None:
        while queue:
            await client.create("v1", plural, queue.pop(), namespace=namespace)

    await asyncio.gather(*(work() for _ in range(32)))


async def measure(plane: ControlPlane, nodes: int, pods: int, kind: str) -> dict[str, object]:
    async with Client.from_kubeconfig(plane.kubeconfig("admin"), user_agent="bench") as client:
        await client.create("v1", "serviceaccounts", {"metadata": {"name": "default"}}, namespace="default")
        await create_all(client, "nodes", [node(n) for n in range(nodes)], None)
        tainted = [n for n in (await client.list("v1", "nodes"))["items"] if n["spec"].get("taints")]
        for name in (n["metadata"]["name"] for n in tainted):
            await client.patch("v1", "nodes", name, {"spec": {"taints": None}})
        plane.start_scheduler()
        bound = 0
        done = asyncio.Event()

        async def count() -> None:
            nonlocal bound
            listed = await client.list("v1", "pods", namespace="default")
            async for event in client.watch(
                "v1", "pods", namespace="default", resource_version=listed["metadata"]["resourceVersion"],
                field_selector="spec.nodeName!=",
            ):  # fmt: skip
                if event.type == "ADDED":
                    bound += 1
                    if bound >= pods:
                        done.set()
                        return

        counting = asyncio.create_task(count())
        await asyncio.sleep(3)
        started = time.monotonic()
        await create_all(client, "pods", [pod(n, kind) for n in range(pods)], "default")
        created, already = time.monotonic(), bound
        await asyncio.wait_for(done.wait(), 600)
        ended = time.monotonic()
        counting.cancel()
    memory = {
        name: round(psutil.Process(process.child.pid).memory_info().rss / 2**20)
        for name, process in plane.processes.items()
    }
    return {
        "kind": kind, "nodes": nodes, "pods": pods, "store": plane.store,
        "created_per_second": round(pods / (created - started)),
        "bound_per_second": round(pods / (ended - started)),
        "bound_per_second_after_creation": round((pods - already) / (ended - created)) if already < pods else None,
        "rss_mib": memory,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--pods", type=int, default=5000)
    parser.add_argument("--kind", default="plain", choices=sorted(KINDS))
    parser.add_argument("--store", default="sqlite")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="navarch-bench-") as directory:
        plane = ControlPlane(Path(directory), store=given.store)
        try:
            plane.start_apiserver()
            print(json.dumps(asyncio.run(measure(plane, given.nodes, given.pods, given.kind))))
        finally:
            plane.stop()


if __name__ == "__main__":
    main()
