"""How fast the engines and the watch cache are: one JSON object a line.

    python -m bench.store [memory] [sqlite] [etcd] [--seconds 2] [--etcd http://127.0.0.1:2379]

Without an address etcd is started on a free loopback port with its data in a temporary folder. The load is one process
with many tasks on uvloop, as in the API server; objects are pods of about 2.8 KB. "busy loop" repeats the creates while
the event loop has other work four fifths of the time, as it has when requests are served.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import resource
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import uvloop

from apiserver.storage import open_storage
from apiserver.storage.cacher import Cacher, make_predicate
from apiserver.storage.interface import Storage
from machinery.meta.selectors import parse_field_selector

LISTED = 5000


def pod(name: str, node: str = "") -> bytes:
    container = {"name": "main", "image": "registry.example/app:1.2.3", "env": [
        {"name": f"SETTING_{n}", "value": "x" * 40} for n in range(24)
    ]}
    metadata = {"name": name, "namespace": "default", "labels": {"app": "bench", "pod-template-hash": "abcdef1234"}}
    return orjson.dumps({"kind": "Pod", "apiVersion": "v1", "metadata": metadata,
                         "spec": {"nodeName": node, "containers": [container]},
                         "status": {"phase": "Running", "conditions": [{"type": "Ready", "message": "m" * 600}]}})


def fields_of(obj: dict[str, dict[str, str]]) -> dict[str, str]:
    return {"spec.nodeName": obj["spec"]["nodeName"]}


async def rate(work: Callable[[int], Awaitable[object]], concurrency: int, seconds: float) -> float:
    """Calls a second of ``work(n)`` by so many tasks."""
    done = 0
    end = time.perf_counter() + seconds

    async def run() -> None:
        nonlocal done
        while time.perf_counter() < end:
            done += 1
            await work(done)
            if done % 64 == 0:
                await asyncio.sleep(0)  # an engine in memory never yields by itself

    start = time.perf_counter()
    await asyncio.gather(*(run() for _ in range(concurrency)))
    return round(done / (time.perf_counter() - start), 1)


async def keep_busy() -> None:
    while True:
        end = time.perf_counter() + 0.0004
        while time.perf_counter() < end:
            pass
        await asyncio.sleep(0.0001)


def report(engine: str, what: str, value: float, unit: str = "/s", **more: object) -> None:
    print(json.dumps({"engine": engine, "measure": what, "value": value, "unit": unit, **more}), flush=True)


async def measure_engine(engine: str, storage: Storage, seconds: float) -> None:
    value = pod("bench")
    for concurrency in (1, 64):
        async def create(n: int, folder: int = concurrency) -> None:
            await storage.create(f"/registry/bench{folder}/default/{n:08}", value)

        report(engine, "creates", await rate(create, concurrency, seconds), concurrency=concurrency)
    busy = asyncio.create_task(keep_busy())

    async def create_busy(n: int) -> None:
        await storage.create(f"/registry/benchbusy/default/{n:08}", value)

    report(engine, "creates, busy loop", await rate(create_busy, 64, seconds), concurrency=64)
    busy.cancel()
    await asyncio.gather(busy, return_exceptions=True)
    for n in range(0, LISTED, 100):
        await asyncio.gather(
            *(storage.create(f"/registry/pods/default/p{n + m:05}", pod(f"p{n + m:05}", f"n{m}")) for m in range(100))
        )
    revisions = {item.key: item.revision for item in (await storage.list("/registry/pods/")).items}

    async def update(n: int) -> None:
        key = f"/registry/pods/default/p{n % LISTED:05}"
        revisions[key] = await storage.update(key, pod(key[-6:], f"n{n % 100}"), expected_revision=revisions[key])

    report(engine, "updates", await rate(update, 64, seconds), concurrency=64)

    async def get(n: int) -> None:
        await storage.get(f"/registry/pods/default/p{n % LISTED:05}")

    for concurrency in (1, 32):
        report(engine, "gets", await rate(get, concurrency, seconds), concurrency=concurrency)

    async def read_all(n: int) -> None:
        await storage.list("/registry/pods/")

    report(engine, f"lists of {LISTED}", await rate(read_all, 1, seconds), concurrency=1)


async def measure_cacher(engine: str, storage: Storage, seconds: float) -> None:
    cacher = Cacher(storage, "/registry/pods/", fields_of=fields_of, indexed_fields=("spec.nodeName",))
    before = resident()
    start = time.perf_counter()
    await cacher.start()
    report(engine, "cacher start", round((time.perf_counter() - start) * 1000, 1), "ms", objects=LISTED,
           grown_mb=round((resident() - before) / 1e6, 1))

    async def get(n: int) -> None:
        await cacher.get(f"/registry/pods/default/p{n % LISTED:05}")

    async def read_all(n: int) -> None:
        (await cacher.list()).json_items()

    node = make_predicate(field_selector=parse_field_selector("spec.nodeName=n7"))

    async def read_node(n: int) -> None:
        (await cacher.list(node)).json_items()

    report(engine, "cacher gets", await rate(get, 32, seconds), concurrency=32)
    report(engine, f"cacher lists of {LISTED}", await rate(read_all, 4, seconds), concurrency=4)
    report(engine, "cacher lists of one node's 50", await rate(read_node, 4, seconds), concurrency=4)
    await measure_fan_out(engine, storage, cacher)
    await cacher.close()


async def measure_fan_out(engine: str, storage: Storage, cacher: Cacher) -> None:
    """From before the write to every one of 1,000 readers having the bytes."""
    watchers = [await cacher.watch(revision=cacher.revision) for _ in range(1000)]
    elapsed = []
    for n in range(20):
        reading = [asyncio.create_task(watcher.take()) for watcher in watchers]
        await asyncio.sleep(0)
        start = time.perf_counter()
        await storage.create(f"/registry/pods/default/fan{n}", pod(f"fan{n}"))
        for events in await asyncio.gather(*reading):
            assert events[0].json
        elapsed.append(time.perf_counter() - start)
    report(engine, "one write to 1,000 watchers", round(sorted(elapsed)[10] * 1000, 2), "ms")


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@asynccontextmanager
async def running(engine: str, address: str, folder: Path) -> AsyncIterator[Storage]:
    process = None
    where = {"sqlite": f"sqlite:{folder}/store.db", "etcd": address}.get(engine, engine)
    if engine == "etcd" and not address:
        if shutil.which("etcd") is None:
            raise SystemExit("etcd is not installed (package etcd-server); name other engines or give --etcd")
        where, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        process = subprocess.Popen(
            ["etcd", "--data-dir", str(folder / "etcd"), "--listen-client-urls", where, "--advertise-client-urls",
             where, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster",
             f"default={peer}", "--quota-backend-bytes", str(8 << 30)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
    try:
        storage = open_storage(where)
        await storage.start()
        yield storage
        await storage.close()
    finally:
        if process is not None:
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def bench(engines: list[str], seconds: float, address: str) -> None:
    for engine in engines:
        with tempfile.TemporaryDirectory(prefix="navarch-bench-") as folder:
            async with running(engine, address, Path(folder)) as storage:
                await measure_engine(engine, storage, seconds)
                await measure_cacher(engine, storage, min(seconds, 1.0))


def main() -> None:
    parser = argparse.ArgumentParser(description="throughput of the storage engines and the watch cache")
    parser.add_argument("engines", nargs="*", default=["memory", "sqlite", "etcd"])
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each measure runs")
    parser.add_argument("--etcd", default="", help="address of a running etcd (its keys under /registry are written)")
    options = parser.parse_args()
    print(json.dumps({"python": platform.python_version(), "cores": os.cpu_count(), "machine": platform.machine()}))
    uvloop.run(bench(options.engines, options.seconds, options.etcd))


if __name__ == "__main__":
    main()
