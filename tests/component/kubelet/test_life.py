"""The life of pods on a real runtime: start, crash, restart of the agent, end; and that nothing is left."""

from __future__ import annotations

import asyncio

import pytest

from kubelet.volumes import mounts
from proto import cri_pb2 as cri
from tests.component.kubelet.conftest import Cluster, first, is_ready, is_running, kill_container, shell

pytestmark = [pytest.mark.root, pytest.mark.containerd]


async def test_a_pod_lives_and_leaves_nothing(cluster: Cluster) -> None:
    spec = {
        "containers": [
            shell(
                "echo hello; trap 'exit 0' TERM; sleep 1000 & wait",
                volumeMounts=[{"name": "m", "mountPath": "/m"}, {"name": "m", "mountPath": "/s", "subPath": "d"}],
            )
        ],
        "volumes": [{"name": "m", "emptyDir": {"medium": "Memory"}}],
    }
    await cluster.create("life", **spec)
    pod = await cluster.until("life", is_ready)
    assert is_running(pod)
    for _ in range(60):
        if cluster.log(pod):
            break
        await asyncio.sleep(0.05)
    assert cluster.log(pod) == "hello\n"
    uid = pod["metadata"]["uid"]
    assert (cluster.root / "pods" / uid).is_dir()
    assert mounts.mounts_below(cluster.root / "pods" / uid)
    await cluster.delete("life")
    await cluster.until_gone("life")
    assert cluster.agent is not None
    for _ in range(100):
        if not cluster.agent.pods.all():
            break
        await asyncio.sleep(0.05)
    assert not await cluster.agent.runtime.list_pod_sandboxes({"io.kubernetes.pod.uid": uid})
    assert not mounts.mounts_below(cluster.root / "pods")
    assert list((cluster.root / "pods").iterdir()) == []
    assert list(cluster.options.pod_logs.iterdir()) == []
    assert list(cluster.options.container_logs.iterdir()) == []
    expected = {"Pulled", "Created", "Started", "Killing"}
    for _ in range(60):  # events are written beside, in their own time
        if {event["reason"] for event in await cluster.events("life")} == expected:
            break
        await asyncio.sleep(0.05)
    assert {event["reason"] for event in await cluster.events("life")} == expected


async def test_a_killed_process_is_restarted_in_place(cluster: Cluster) -> None:
    await cluster.create("killed")
    pod = await cluster.until("killed", is_ready)
    assert cluster.agent is not None
    await kill_container(cluster, pod)
    pod = await cluster.until("killed", lambda p: first(p).get("restartCount") == 1 and first(p)["ready"])
    assert first(pod)["lastState"]["terminated"]["exitCode"] == 137
    assert is_running(pod)


async def test_an_agent_that_restarts_restarts_nothing(cluster: Cluster) -> None:
    probe = {"exec": {"command": ["true"]}, "periodSeconds": 1}
    await cluster.create("steady", containers=[shell("sleep 1000", readinessProbe=probe, startupProbe=probe)])
    before = await cluster.until("steady", is_ready)
    await cluster.stop_agent()
    seen = []

    async def watch() -> None:
        async for event in cluster.client.watch(
            "v1", "pods", namespace="default", resource_version=before["metadata"]["resourceVersion"]
        ):
            if event.type == "MODIFIED":
                seen.append(event.obj)

    watching = asyncio.create_task(watch())
    await cluster.start_agent()
    await asyncio.sleep(2.5)
    watching.cancel()
    after = await cluster.pod("steady")
    assert after is not None
    assert first(after)["containerID"] == first(before)["containerID"]
    assert first(after)["restartCount"] == 0
    assert all(is_ready(pod) for pod in [*seen, after])


async def test_what_ended_while_no_agent_ran_is_seen_and_what_was_deleted_is_ended(cluster: Cluster) -> None:
    await cluster.create("ends", command="sleep 2; exit 7", restartPolicy="Never")
    await cluster.create("orphan")
    await cluster.until("ends", is_running)
    orphan = await cluster.until("orphan", is_running)
    await cluster.stop_agent()
    await cluster.delete("orphan", grace_period_seconds=0)
    await cluster.until_gone("orphan")
    await asyncio.sleep(2)
    agent = await cluster.start_agent()
    pod = await cluster.until("ends", lambda p: p["status"]["phase"] == "Failed")
    assert first(pod)["state"]["terminated"]["exitCode"] == 7
    uid = orphan["metadata"]["uid"]
    for _ in range(200):
        if not await agent.runtime.list_pod_sandboxes({"io.kubernetes.pod.uid": uid}):
            break
        await asyncio.sleep(0.05)
    assert not await agent.runtime.list_pod_sandboxes({"io.kubernetes.pod.uid": uid})


async def test_a_second_deletion_may_shorten_the_first(cluster: Cluster) -> None:
    await cluster.create("slow", command="trap '' TERM; while :; do sleep 1; done", terminationGracePeriodSeconds=60)
    await cluster.until("slow", is_ready)
    await cluster.delete("slow")
    await asyncio.sleep(0.5)
    assert await cluster.pod("slow") is not None
    await cluster.delete("slow", grace_period_seconds=1)
    await cluster.until_gone("slow", seconds=6)


async def test_a_deletion_interrupts_what_the_pod_waits_for(cluster: Cluster) -> None:
    hook = {"postStart": {"exec": {"command": ["sleep", "60"]}}}
    await cluster.create("hooked", containers=[shell("sleep 1000", lifecycle=hook)])
    await cluster.until("hooked", lambda p: p["status"].get("podIP"))
    await asyncio.sleep(0.5)
    await cluster.delete("hooked", grace_period_seconds=1)
    await cluster.until_gone("hooked", seconds=8)


async def test_the_runtime_may_restart_under_the_agent(cluster: Cluster) -> None:
    await cluster.create("through")
    before = await cluster.until("through", is_ready)
    await asyncio.to_thread(cluster.machine.stop_containerd)
    await asyncio.to_thread(cluster.machine.start_containerd)
    await cluster.create("after")
    await cluster.until("after", is_ready, seconds=30)
    after = await cluster.pod("through")
    assert after is not None
    assert first(after)["containerID"] == first(before)["containerID"]
    await kill_container(cluster, after)
    await cluster.until("through", lambda p: first(p).get("restartCount") == 1, seconds=25)


async def test_sidecars_end_after_the_main_container(cluster: Cluster) -> None:
    sidecar = shell(
        "trap 'echo sidecar >> /d/order; exit 0' TERM; while :; do sleep 0.1; done",
        "s",
        restartPolicy="Always",
        volumeMounts=[{"name": "d", "mountPath": "/d"}],
    )
    main = shell(
        "trap 'sleep 0.3; echo main >> /d/order; exit 0' TERM; while :; do sleep 0.1; done",
        volumeMounts=[{"name": "d", "mountPath": "/d"}],
    )
    directory = cluster.machine.directory / "order"
    directory.mkdir(exist_ok=True)
    await cluster.create(
        "ordered",
        containers=[main],
        initContainers=[sidecar],
        terminationGracePeriodSeconds=10,
        volumes=[{"name": "d", "hostPath": {"path": str(directory), "type": "Directory"}}],
    )
    await cluster.until("ordered", is_ready)
    await cluster.delete("ordered")
    await cluster.until_gone("ordered")
    assert (directory / "order").read_text() == "main\nsidecar\n"


async def test_a_shared_process_namespace_is_reaped_by_the_pause_process(cluster: Cluster) -> None:
    await cluster.create(
        "shared",
        shareProcessNamespace=True,
        command="(sleep 0.2 &) ; (sleep 0.3 &) ; sleep 1; ps -o pid,stat,comm; sleep 1000",
    )
    pod = await cluster.until("shared", is_ready)
    await asyncio.sleep(1.5)
    lines = [line.split() for line in cluster.log(pod).splitlines()[1:]]
    assert ["1", "S", "pause"] in lines
    assert not [line for line in lines if line[1].startswith("Z")]


async def test_a_node_that_lost_power_runs_its_pods_again(cluster: Cluster) -> None:
    await cluster.create(
        "comes-back",
        volumes=[{"name": "e", "emptyDir": {}}],
        containers=[
            shell("cat /e/x 2>/dev/null; echo kept > /e/x; sleep 1000", volumeMounts=[{"name": "e", "mountPath": "/e"}])
        ],
    )
    await cluster.create("goes")
    await cluster.until("comes-back", is_ready)
    await cluster.until("goes", is_ready)
    await cluster.stop_agent()
    await asyncio.to_thread(cluster.machine.power_off)
    await cluster.delete("goes", grace_period_seconds=0)
    await cluster.until_gone("goes")
    await asyncio.to_thread(cluster.machine.start_containerd)
    agent = await cluster.start_agent()
    pod = await cluster.until("comes-back", lambda p: first(p).get("restartCount", 0) >= 1 and is_ready(p), seconds=30)
    for _ in range(60):  # the runtime writes the log beside, a moment after the start
        if cluster.log(pod, count=first(pod)["restartCount"]):
            break
        await asyncio.sleep(0.05)
    assert cluster.log(pod, count=first(pod)["restartCount"]) == "kept\n"
    for _ in range(200):
        left = await agent.runtime.list_pod_sandboxes()
        if {sandbox.metadata.name for sandbox in left} == {"comes-back"}:
            break
        await asyncio.sleep(0.05)
    assert sorted((s.metadata.name, s.metadata.attempt, s.state) for s in left) == [
        ("comes-back", 0, cri.SANDBOX_NOTREADY),
        ("comes-back", 1, cri.SANDBOX_READY),
    ]
