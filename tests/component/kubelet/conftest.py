"""A real containerd and a real API server, once for all tests here; an agent in the test's own process for each."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kubelet.agent import Agent, run
from kubelet.settings import Options
from machinery.client import Client
from machinery.meta.errors import ApiError, is_not_found
from tests.component.kubelet.machine import BUSYBOX_REFERENCE, NodeMachine
from tests.support.processes import ControlPlane

NODE = "node-1"


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeMachine]:
    # Unix sockets have short paths; pytest's own folders may be too deep for containerd's.
    directory = Path(f"/tmp/nv-kubelet-{os.getpid()}")
    directory.mkdir()
    machine = NodeMachine(directory)
    try:
        machine.start()
        yield machine
    finally:
        machine.stop()
        import shutil

        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    plane = ControlPlane(tmp_path_factory.mktemp("plane"))
    try:
        plane.start_apiserver()
        yield plane
    finally:
        plane.stop()


class Cluster:
    """What a test works with: the API, and an agent that can be ended and started again."""

    def __init__(self, client: Client, machine: NodeMachine, plane: ControlPlane, root: Path) -> None:
        self.client, self.machine, self.plane, self.root = client, machine, plane, root
        self.options = Options(
            kubeconfig=Path(plane.kubeconfig("admin")),
            node_name=NODE,
            runtime_endpoint=machine.endpoint,
            root_dir=root,
            node_ip="127.0.0.1",
            cgroup_prefix=machine.cgroup_prefix,
        )
        self.namespace = "default"
        self.agent: Agent | None = None
        self._stop: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None

    async def start_agent(self, **changes: Any) -> Agent:
        import dataclasses

        ready = asyncio.get_running_loop().create_future()
        self._stop = asyncio.Event()
        options = dataclasses.replace(self.options, **changes)
        self._task = asyncio.create_task(run(options, stop=self._stop, on_ready=ready.set_result))
        await asyncio.wait({ready, self._task}, return_when=asyncio.FIRST_COMPLETED, timeout=20)
        if self._task.done():
            self._task.result()
        self.agent = ready.result()
        return self.agent

    async def stop_agent(self) -> None:
        if self._task is not None and self._stop is not None:
            self._stop.set()
            await self._task
            self._task = None

    async def create(self, name: str, **spec: Any) -> dict[str, Any]:
        containers = spec.pop("containers", None) or [shell(spec.pop("command", "sleep 1000"))]
        whole = {
            "nodeName": NODE,
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "containers": containers,
            **spec,
        }
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": whole,
        }
        return await self.client.create("v1", "pods", pod)

    async def pod(self, name: str) -> dict[str, Any] | None:
        try:
            return await self.client.get("v1", "pods", name, namespace=self.namespace)
        except ApiError as error:
            if is_not_found(error):
                return None
            raise

    async def until(self, name: str, holds: Callable[[dict[str, Any]], Any], seconds: float = 20) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while True:
            pod = await self.pod(name)
            if pod is not None and holds(pod):
                return pod
            assert time.monotonic() < deadline, json.dumps((pod or {}).get("status"), indent=1)
            await asyncio.sleep(0.03)

    async def until_gone(self, name: str, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while await self.pod(name) is not None:
            assert time.monotonic() < deadline, f"{name} is still there"
            await asyncio.sleep(0.03)

    async def delete(self, name: str, **options: Any) -> None:
        await self.client.delete("v1", "pods", name, namespace=self.namespace, **options)

    async def events(self, name: str) -> list[dict[str, Any]]:
        found = await self.client.list(
            "v1", "events", namespace=self.namespace, field_selector=f"involvedObject.name={name}"
        )
        return list(found["items"])

    def log(self, pod: dict[str, Any], container: str = "c", count: int = 0) -> str:
        meta = pod["metadata"]
        path = self.options.pod_logs / f"{meta['namespace']}_{meta['name']}_{meta['uid']}" / container / f"{count}.log"
        return "".join(line.split(" ", 3)[3] for line in path.read_text().splitlines(keepends=True))


async def ensure_service_account(client: Client) -> None:
    """What the controllers would make; most tests here run without them."""
    with contextlib.suppress(ApiError):
        await client.create("v1", "serviceaccounts", {"metadata": {"name": "default", "namespace": "default"}})


def shell(command: str, name: str = "c", **more: Any) -> dict[str, Any]:
    return {"name": name, "image": BUSYBOX_REFERENCE, "command": ["sh", "-c", command], **more}


def is_running(pod: dict[str, Any]) -> bool:
    return bool(pod["status"].get("phase") == "Running")


def is_ready(pod: dict[str, Any]) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions") or ())


def first(pod: dict[str, Any]) -> dict[str, Any]:
    """The first container's status."""
    found: dict[str, Any] = (pod["status"].get("containerStatuses") or [{}])[0]
    return found


async def kill_container(cluster: Cluster, pod: dict[str, Any]) -> None:
    """SIGKILL to the first container's process, from outside."""
    assert cluster.agent is not None
    container_id = first(pod)["containerID"].removeprefix("containerd://")
    info = (await cluster.agent.runtime.container_status(container_id, verbose=True)).info["info"]
    os.kill(json.loads(info)["pid"], signal.SIGKILL)


@pytest.fixture
async def cluster(machine: NodeMachine, plane: ControlPlane, request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    """An agent with a folder of its own; at the end its pods are gone."""
    root = machine.directory / f"k{abs(hash(request.node.name)) % 10000}"
    async with Client.from_kubeconfig(plane.kubeconfig("admin")) as client:
        cluster = Cluster(client, machine, plane, root)
        await ensure_service_account(client)
        try:
            await cluster.start_agent()
            yield cluster
        finally:
            for pod in (await client.list("v1", "pods"))["items"]:
                with contextlib.suppress(ApiError):
                    await client.delete(
                        "v1",
                        "pods",
                        pod["metadata"]["name"],
                        namespace=pod["metadata"]["namespace"],
                        grace_period_seconds=0,
                    )
            if cluster._task is None:
                await cluster.start_agent()
            for _ in range(300):
                if cluster.agent is None or not cluster.agent.pods.all():
                    break
                await asyncio.sleep(0.05)
            await cluster.stop_agent()
