"""The controllers process against a real API server: killed in the middle of its work, and a server that goes away."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest

from machinery.client import Client, ConnectError
from machinery.meta.conditions import get_condition
from machinery.meta.errors import ApiError
from tests.support.processes import control_plane

PATIENCE_SECONDS = 60.0


@pytest.fixture
def plane(tmp_path):
    with control_plane(tmp_path, store="sqlite") as running:
        running.start_controllers()
        yield running


async def until(check):
    """Ask again until it holds; a server that is away is asked again too."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while True:
        with contextlib.suppress(ConnectError, ApiError):
            if await check():
                return
        assert asyncio.get_running_loop().time() < deadline, f"not reached: {check}"
        await asyncio.sleep(0.05)


def template(**more):
    return {"metadata": {"labels": {"app": "a"}}, "spec": {
        "schedulerName": "nobody", "containers": [{"name": "c", "image": "x"}], **more}}  # fmt: skip


async def pods(client):
    return (await client.list("v1", "pods", namespace="default"))["items"]


async def ready_for_pods(client):
    async def has_account():
        return await client.get("v1", "serviceaccounts", "default", namespace="default")

    await until(has_account)


async def test_killed_while_scaling_it_makes_exactly_what_is_wanted(plane):
    rng = random.Random(1)
    async with Client.from_kubeconfig(plane.kubeconfig("admin")) as client:
        await ready_for_pods(client)
        await client.create("apps/v1", "deployments", {"metadata": {"name": "d", "namespace": "default"}, "spec": {
            "replicas": 1, "selector": {"matchLabels": {"app": "a"}}, "template": template()}})  # fmt: skip
        for size in (150, 20, 90):
            await client.patch("apps/v1", "deployments", "d", {"spec": {"replicas": size}}, namespace="default")
            await asyncio.sleep(rng.uniform(0.02, 0.2))
            plane.processes["controllers"].kill()
            plane.start_controllers()

            async def is_done(size=size):
                found = await client.get("apps/v1", "deployments", "d", namespace="default")
                settled = found["status"].get("observedGeneration") == found["metadata"]["generation"]
                return settled and found["status"].get("replicas") == size

            await until(is_done)
            await asyncio.sleep(0.3)
            assert len(await pods(client)) == size


async def test_killed_while_counting_it_counts_every_pod_once(plane):
    async with Client.from_kubeconfig(plane.kubeconfig("admin")) as client:
        await ready_for_pods(client)
        await client.create("batch/v1", "jobs", {"metadata": {"name": "j", "namespace": "default"}, "spec": {
            "completions": 40, "parallelism": 8, "template": template(restartPolicy="Never")}})  # fmt: skip
        finished = 0

        async def is_done():
            nonlocal finished
            for pod in await pods(client):
                if pod["status"]["phase"] == "Pending":
                    await client.patch("v1", "pods", pod["metadata"]["name"], {"status": {"phase": "Succeeded"}},
                                       namespace="default", subresource="status")  # fmt: skip
                    finished += 1
                    if finished in (5, 17, 30):
                        plane.processes["controllers"].kill()
                        plane.start_controllers()
            job = await client.get("batch/v1", "jobs", "j", namespace="default")
            return get_condition(job["status"].get("conditions"), "Complete")

        await until(is_done)
        status = (await client.get("batch/v1", "jobs", "j", namespace="default"))["status"]
        found = await pods(client)
        assert status["succeeded"] == 40 == finished == len(found)
        assert status["uncountedTerminatedPods"] == {}
        assert all("finalizers" not in pod["metadata"] for pod in found)


async def test_a_server_that_was_away_is_followed_again(plane):
    async with Client.from_kubeconfig(plane.kubeconfig("admin")) as client:
        await ready_for_pods(client)
        plane.processes["apiserver"].kill()
        await asyncio.sleep(1)
        plane.start_apiserver()
        await client.create("apps/v1", "deployments", {"metadata": {"name": "d", "namespace": "default"}, "spec": {
            "replicas": 3, "selector": {"matchLabels": {"app": "a"}}, "template": template()}})  # fmt: skip

        async def has_pods():
            return len(await pods(client)) == 3

        await until(has_pods)
        plane.processes["controllers"].check()


async def test_of_two_one_works_and_the_other_takes_over(tmp_path):
    with control_plane(tmp_path) as plane:
        flags = ("--leader-elect-lease-duration=3s", "--leader-elect-renew-deadline=2s",
                 "--leader-elect-retry-period=200ms")  # fmt: skip
        config = plane.kubeconfig("controllers")
        for name in ("one", "two"):
            plane.start(name, "controllers", "--kubeconfig", config, "--identity", name, *flags)
        async with Client.from_kubeconfig(plane.kubeconfig("admin")) as client:

            async def holder():
                lease = await client.get("coordination.k8s.io/v1", "leases", "kube-controller-manager",
                                         namespace="kube-system")  # fmt: skip
                return lease["spec"].get("holderIdentity")

            await until(holder)
            first = await holder()
            other = "two" if first == "one" else "one"
            await asyncio.sleep(1)
            assert await holder() == first
            plane.processes[first].kill()

            async def has_moved():
                return await holder() == other

            await until(has_moved)
            await client.create("v1", "namespaces", {"metadata": {"name": "n"}})

            async def works():
                return await client.get("v1", "serviceaccounts", "default", namespace="n")

            await until(works)
