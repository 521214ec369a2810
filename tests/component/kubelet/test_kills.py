"""An agent that is killed at any moment, again and again: the pods neither notice nor leave anything."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machinery.client import Client
from tests.component.kubelet.conftest import ensure_service_account, shell
from tests.component.kubelet.machine import NodeMachine
from tests.support.processes import ControlPlane, Process

pytestmark = [pytest.mark.root, pytest.mark.containerd]

NODE, PODS, KILLS, PORT = "node-k", 6, 5, 21350


class KilledAgent:
    def __init__(self, machine: NodeMachine, plane: ControlPlane, root: Path) -> None:
        self.machine, self.plane, self.root = machine, plane, root
        self.process = self.start()

    def start(self) -> Process:
        return self.plane.start(
            "kubelet",
            "kubelet",
            "--kubeconfig",
            self.plane.kubeconfig("admin"),
            "--node-name",
            NODE,
            "--runtime-endpoint",
            self.machine.endpoint,
            "--root-dir",
            str(self.root),
            "--node-ip",
            "127.0.0.1",
            "--cgroup-prefix",
            self.machine.cgroup_prefix,
            "--address",
            "127.0.0.1",
            "--port",
            str(PORT),
        )

    def again(self) -> None:
        self.process.kill()
        self.process = self.start()


@pytest.mark.timeout(150)
@pytest.mark.parametrize("seed", [1, 2])
async def test_kills_change_nothing(machine: NodeMachine, plane: ControlPlane, seed: int) -> None:
    rng = random.Random(seed)
    root = machine.directory / f"kills{seed}"
    agent = KilledAgent(machine, plane, root)
    try:
        async with Client.from_kubeconfig(plane.kubeconfig("admin")) as client:
            await ensure_service_account(client)
            for number in range(PODS):
                await client.create(
                    "v1",
                    "pods",
                    {
                        "metadata": {"name": f"k{number}", "namespace": "default"},
                        "spec": {
                            "nodeName": NODE,
                            "terminationGracePeriodSeconds": 1,
                            "automountServiceAccountToken": False,
                            "initContainers": [shell("true", "i")],
                            "containers": [shell("sleep 1000", "c"), shell("sleep 1000", "d")],
                        },
                    },
                )
            for _ in range(KILLS):
                await asyncio.sleep(rng.uniform(0.8, 1.8))
                agent.again()
            await until(client, lambda pods: len(pods) == PODS and all(is_settled(pod) for pod in pods))
            for pod in (await client.list("v1", "pods"))["items"]:
                for status in [*pod["status"]["initContainerStatuses"], *pod["status"]["containerStatuses"]]:
                    assert status["restartCount"] == 0, status
            for number in range(PODS):
                await client.delete("v1", "pods", f"k{number}", namespace="default")
            await asyncio.sleep(0.3)
            agent.again()
            await until(client, lambda pods: not pods)
        deadline = time.monotonic() + 15
        while any((root / part).exists() and list((root / part).iterdir()) for part in ("pods", "log/pods")):
            assert time.monotonic() < deadline, "files of pods are left"
            await asyncio.sleep(0.1)
    except BaseException:
        print(agent.process.tail(60))
        raise
    finally:
        agent.process.stop()


async def until(client: Client, holds: Callable[[list[dict[str, Any]]], bool]) -> None:
    deadline = time.monotonic() + 40
    while not holds((await client.list("v1", "pods"))["items"]):
        assert time.monotonic() < deadline, [
            (pod["metadata"]["name"], pod["status"]) for pod in (await client.list("v1", "pods"))["items"]
        ]
        await asyncio.sleep(0.1)


def is_settled(pod: dict[str, Any]) -> bool:
    statuses = pod["status"].get("containerStatuses") or ()
    return len(statuses) == 2 and all(status["ready"] for status in statuses)
