"""A whole local cluster: how fast it comes up, what it costs while nothing happens, how fast a Deployment is there.

    python -m bench.cluster [--rounds 5] [--applies 15] [--idle-seconds 20] [--store sqlite|etcd]

Prints one JSON object. Needs root, containerd and stock kubectl (`make setup`). Times are those of a person at a
terminal: they include the start of `navarch` and of `kubectl`. Memory is counted twice: resident (RSS, the sum over
processes counts shared pages once a process) and proportional (PSS, shared pages shared out).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.e2e.cluster import LocalCluster, condition, wait_until
from tests.e2e.images import write_images

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: %s}
spec:
  replicas: 1
  selector: {matchLabels: {app: %s}}
  template:
    metadata: {labels: {app: %s}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: web, image: "localhost/web:1"}]
"""


@contextmanager
def local_cluster(folder: Path, store: str) -> Iterator[tuple[LocalCluster, float]]:
    """A one-node cluster and how long `up` took."""
    cluster = LocalCluster("benchcluster", folder / "home", store)
    began = time.perf_counter()
    try:
        cluster.up(nodes=1)
        yield cluster, time.perf_counter() - began
    finally:
        cluster.down()


def cold_up(store: str, rounds: int) -> dict[str, Any]:
    seconds, down_seconds = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="nv-bench-", dir="/tmp") as folder:
            with local_cluster(Path(folder), store) as (_, took):
                seconds.append(took)
                began = time.perf_counter()
            down_seconds.append(time.perf_counter() - began)
    return {
        "up_to_ready_seconds": summary(seconds), "down_seconds": summary(down_seconds), "rounds": rounds,
    }  # fmt: skip


def node_join(cluster: LocalCluster, rounds: int) -> dict[str, Any]:
    seconds = []
    for number in range(rounds):
        began = time.perf_counter()
        cluster.navarch("nodes", "add", f"extra{number}")
        seconds.append(time.perf_counter() - began)
        cluster.navarch("nodes", "remove", f"extra{number}")
    return {"node_add_to_ready_seconds": summary(seconds)}


def idle(cluster: LocalCluster, seconds: float) -> dict[str, Any]:
    """Of the Python processes: memory now, and CPU over a while in which nobody asks for anything."""
    processes = {}
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "-m" in words[:3] and any(str(cluster.home) in word for word in words):
            processes[words[words.index("-m") + 1]] = process
    time.sleep(5)  # what the start has left to do
    before = {name: sum(process.cpu_times()[:2]) for name, process in processes.items()}
    time.sleep(seconds)
    rows = {}
    for name, process in processes.items():
        memory = process.memory_full_info()
        cpu = (sum(process.cpu_times()[:2]) - before[name]) / seconds * 100
        rows[name] = {"rss_mb": memory.rss / 1e6, "pss_mb": memory.pss / 1e6, "cpu_percent": cpu}
    total = {key: sum(row[key] for row in rows.values()) for key in ("rss_mb", "pss_mb", "cpu_percent")}
    return {name: {key: round(value, 1) for key, value in row.items()} for name, row in {**rows, "all": total}.items()}


def apply_to_available(cluster: LocalCluster, times: int) -> dict[str, float]:
    """From the start of `kubectl apply` until the Deployment says that it is Available."""
    seconds = []
    for number in range(times):
        name = f"bench-{number}"
        began = time.perf_counter()
        cluster.kubectl("apply", "-f", "-", stdin=DEPLOYMENT % (name, name, name))
        cluster.kubectl("wait", "--for=condition=Available", f"deployment/{name}", "--timeout=30s")
        seconds.append(time.perf_counter() - began)
        cluster.kubectl("delete", "deployment", name, "--cascade=foreground")
    return summary(seconds)


def summary(seconds: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(seconds), 3), "min": round(min(seconds), 3), "max": round(max(seconds), 3),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.cluster", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--applies", type=int, default=15)
    parser.add_argument("--idle-seconds", type=float, default=20)
    parser.add_argument("--store", choices=("sqlite", "etcd"), default="sqlite")
    given = parser.parse_args()
    result: dict[str, Any] = {"store": given.store}
    if given.rounds:
        result |= cold_up(given.store, given.rounds)
    with tempfile.TemporaryDirectory(prefix="nv-bench-", dir="/tmp") as folder:
        with local_cluster(Path(folder), given.store) as (cluster, _):
            result["idle"] = idle(cluster, given.idle_seconds)
            result |= node_join(cluster, min(given.rounds, 3)) if given.rounds else {}
            for archive in write_images(Path(folder) / "images"):
                cluster.navarch("image", "load", str(archive))
            wait_until("the node is Ready", lambda: condition(cluster.get("node", "node1"), "Ready") == "True")
            result["apply_to_available_seconds"] = apply_to_available(cluster, given.applies)
            result["after_work"] = idle(cluster, given.idle_seconds)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
