"""How fast the controllers react: against a plane of its own, or against any Kubernetes API endpoint.

    python -m bench.controllers [--store memory|sqlite|etcd] [--rounds 30] [--replicas 1000]
    python -m bench.controllers --kubeconfig FILE          # controllers must run there already

Measures from the answer-less moment of the write to the watch event that shows the effect:
``chain_ms``: a Deployment is created -> its first pod exists; ``scale_seconds``: 1 -> N replicas and back;
``collect_seconds``: a Deployment of N is deleted -> its pods are gone; ``namespace_seconds``: an empty namespace ends.
With a plane of its own also memory and CPU of the idle controllers process. Prints JSON. Pods are never scheduled.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from machinery.cache.informer import Informer
from machinery.client import Client
from machinery.meta.errors import ApiError, is_not_found
from tests.support.processes import ControlPlane

IDLE_SECONDS = 10.0


def deployment(namespace: str, name: str, replicas: int) -> dict[str, Any]:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {
                "schedulerName": "nobody", "automountServiceAccountToken": False,
                "containers": [{"name": "c", "image": "none"}]}},
        },
    }  # fmt: skip


class Pods:
    """Counts pods by the label ``app``, awake at every event."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.informer = Informer(client, "v1", "pods", namespace=namespace, metadata_only=True)
        self.counts: dict[str, int] = {}
        self._changed = asyncio.Event()
        self.informer.add_handler(on_add=lambda pod: self._count(pod, 1), on_delete=lambda pod: self._count(pod, -1))

    def _count(self, pod: dict[str, Any], change: int) -> None:
        name = pod["metadata"]["labels"]["app"]
        self.counts[name] = self.counts.get(name, 0) + change
        self._changed.set()

    async def until(self, name: str, count: int) -> float:
        while self.counts.get(name, 0) != count:
            self._changed.clear()
            await self._changed.wait()
        return time.perf_counter()


async def measure(client: Client, rounds: int, replicas: int) -> dict[str, Any]:
    namespace = f"bench-{int(time.time())}"
    await client.create("v1", "namespaces", {"metadata": {"name": namespace}})
    while True:  # pods need the default account
        try:
            await client.get("v1", "serviceaccounts", "default", namespace=namespace)
            break
        except ApiError as error:
            if not is_not_found(error):
                raise
            await asyncio.sleep(0.02)
    pods = Pods(client, namespace)
    following = asyncio.create_task(pods.informer.run())
    await pods.informer.wait_synced()
    chain = []
    for number in range(rounds):
        start = time.perf_counter()
        await client.create("apps/v1", "deployments", deployment(namespace, f"d{number}", 1))
        chain.append((await pods.until(f"d{number}", 1) - start) * 1000)
    seconds = {}
    for what, size in (("up", replicas), ("down", 1), ("up_again", replicas)):
        start = time.perf_counter()
        await client.patch("apps/v1", "deployments", "d0", {"spec": {"replicas": size}}, namespace=namespace)
        seconds[what] = round(await pods.until("d0", size) - start, 3)
    start = time.perf_counter()
    await client.delete("apps/v1", "deployments", "d0", namespace=namespace, propagation_policy="Background")
    seconds["collect"] = round(await pods.until("d0", 0) - start, 3)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    start = time.perf_counter()
    await client.delete("v1", "namespaces", namespace)
    while True:
        try:
            await client.get("v1", "namespaces", namespace)
        except ApiError as error:
            if is_not_found(error):
                break
            raise
        await asyncio.sleep(0.01)
    chain.sort()
    return {
        "chain_ms": {"median": round(statistics.median(chain), 1), "p90": round(chain[int(len(chain) * 0.9)], 1),
                     "min": round(chain[0], 1)},
        "scale_seconds": seconds, "namespace_seconds": round(time.perf_counter() - start, 3), "replicas": replicas,
    }  # fmt: skip


async def against(kubeconfig: str, rounds: int, replicas: int) -> dict[str, Any]:
    async with Client.from_kubeconfig(kubeconfig, user_agent="bench") as client:
        return await measure(client, rounds, replicas)


def idle(pid: int) -> dict[str, float]:
    process = psutil.Process(pid)
    process.cpu_percent()
    time.sleep(IDLE_SECONDS)
    return {"cpu_percent": process.cpu_percent(), "rss_mb": round(process.memory_info().rss / 2**20, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubeconfig", default="")
    parser.add_argument("--store", default="sqlite")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--replicas", type=int, default=1000)
    options = parser.parse_args()
    if options.kubeconfig:
        print(json.dumps(asyncio.run(against(options.kubeconfig, options.rounds, options.replicas))))
        return
    with tempfile.TemporaryDirectory(prefix="nv-bench-") as directory:
        plane = ControlPlane(Path(directory), store=options.store)
        try:
            plane.start_apiserver()
            plane.start_controllers()
            time.sleep(3)
            before = idle(plane.processes["controllers"].child.pid)
            result = asyncio.run(against(plane.kubeconfig("admin"), options.rounds, options.replicas))
            result |= {"store": options.store, "idle_before": before,
                       "idle_after": idle(plane.processes["controllers"].child.pid)}  # fmt: skip
        finally:
            plane.stop()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
