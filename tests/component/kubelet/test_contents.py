"""What containers find inside: volumes that follow their objects, limits, static pods, logs, credentials."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from kubelet import worker
from kubelet.agent import run
from kubelet.cri import Runtime
from kubelet.eviction import Evictor
from kubelet.logs.rotation import LogRotator, rotated_files
from machinery.meta.errors import ApiError
from proto import cri_pb2 as cri
from tests.component.kubelet.conftest import Cluster, first, is_ready, is_running, kill_container, shell

pytestmark = [pytest.mark.root, pytest.mark.containerd]


async def ensure(cluster: Cluster, plural: str, name: str, **content: Any) -> None:
    await drop(cluster, plural, name)
    await cluster.client.create("v1", plural, {"metadata": {"name": name, "namespace": "default"}, **content})


async def drop(cluster: Cluster, plural: str, name: str) -> None:
    with contextlib.suppress(ApiError):
        await cluster.client.delete("v1", plural, name, namespace="default")


async def until_log(cluster: Cluster, pod: dict[str, Any], text: str, seconds: float = 10, count: int = 0) -> None:
    for _ in range(int(seconds / 0.05)):
        if text in cluster.log(pod, count=count):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{text!r} not in {cluster.log(pod, count=count)!r}")


async def test_files_follow_their_config_map_but_a_sub_path_does_not(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "REFRESH_SECONDS", 0.5)
    await ensure(cluster, "configmaps", "app", data={"k": "one"})
    mounts = [{"name": "m", "mountPath": "/m"}, {"name": "m", "mountPath": "/sub", "subPath": "k"}]
    container = shell("while :; do echo $(cat /m/k)-$(cat /sub); sleep 0.2; done", volumeMounts=mounts)
    await cluster.create("follows", containers=[container], volumes=[{"name": "m", "configMap": {"name": "app"}}])
    pod = await cluster.until("follows", is_ready)
    await until_log(cluster, pod, "one-one")
    await cluster.client.patch("v1", "configmaps", "app", {"data": {"k": "two"}}, namespace="default")
    await until_log(cluster, pod, "two-one")
    await kill_container(cluster, pod)
    await cluster.until("follows", lambda p: first(p).get("restartCount") == 1 and is_ready(p))
    await until_log(cluster, pod, "two-two", count=1)


async def test_a_mount_that_fails_recovers_when_the_object_appears(cluster: Cluster) -> None:
    await drop(cluster, "secrets", "late")
    reads = shell("stat -c '%a %U' -L /v/p; cat /v/p; sleep 1000", volumeMounts=[{"name": "v", "mountPath": "/v"}])
    await cluster.create("waits", volumes=[{"name": "v", "secret": {"secretName": "late"}}], containers=[reads])
    await asyncio.sleep(1.5)
    pod = await cluster.pod("waits")
    assert pod is not None
    assert pod["status"]["phase"] == "Pending"
    await ensure(cluster, "secrets", "late", data={"p": base64.b64encode(b"word\n").decode()})
    pod = await cluster.until("waits", is_ready)
    await until_log(cluster, pod, "644 root\nword\n")
    uid = pod["metadata"]["uid"]
    table = Path("/proc/self/mountinfo").read_text()
    assert f"pods/{uid}/volumes/kubernetes.io~secret/v" in table  # a secret is never on a disk


async def test_a_sub_path_cannot_leave_its_volume(cluster: Cluster) -> None:
    mount = {"name": "e", "mountPath": "/e"}
    await cluster.create(
        "escape",
        volumes=[{"name": "e", "emptyDir": {}}],
        initContainers=[shell("ln -s /etc /e/out", "i", volumeMounts=[mount])],
        containers=[shell("sleep 1000", volumeMounts=[{"name": "e", "mountPath": "/x", "subPath": "out"}])],
    )
    pod = await cluster.until(
        "escape",
        lambda p: (first(p).get("state") or {}).get("waiting", {}).get("reason") == "CreateContainerConfigError",
    )
    assert "failed to prepare subPath" in first(pod)["state"]["waiting"]["message"]


async def test_limits_reach_the_kernel_and_memory_beyond_them_is_an_oom_kill(cluster: Cluster) -> None:
    limits = {"cpu": "500m", "memory": "32Mi"}
    await cluster.create("limits", containers=[shell("sleep 1000", resources={"limits": limits, "requests": limits})])
    pod = await cluster.until("limits", is_ready)
    assert pod["status"]["qosClass"] == "Guaranteed"
    assert first(pod)["resources"] == {"limits": limits, "requests": limits}
    assert first(pod)["allocatedResources"] == limits
    assert cluster.agent is not None
    uid, prefix = pod["metadata"]["uid"], cluster.machine.cgroup_prefix
    v1 = Path("/sys/fs/cgroup/memory")
    if v1.exists():
        assert (v1 / prefix / "kubepods" / f"pod{uid}" / "memory.limit_in_bytes").read_text().strip() == str(32 << 20)
        quota = Path("/sys/fs/cgroup/cpu") / prefix / "kubepods" / f"pod{uid}" / "cpu.cfs_quota_us"
        assert quota.read_text().strip() == "50000"
    await cluster.create(
        "oom",
        restartPolicy="Never",
        containers=[
            shell("head -c 100m /dev/zero | tail -c 100m >/dev/null; exit $?", resources={"limits": {"memory": "16Mi"}})
        ],
    )
    ended = await cluster.until("oom", lambda p: p["status"]["phase"] == "Failed")
    assert first(ended)["state"]["terminated"]["exitCode"] in (137, 1)


async def test_a_static_pod_runs_has_a_mirror_and_ends_with_its_file(cluster: Cluster) -> None:
    directory = cluster.root / "manifests"
    directory.mkdir(parents=True)
    await cluster.stop_agent()
    await cluster.start_agent(manifest_dir=directory)
    manifest = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: default}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: c, image: "localhost/busybox:1", command: [sh, -c, "sleep 1000"]}
"""
    (directory / "web.yaml").write_text(manifest)
    mirror = await cluster.until("web-node-1", is_ready)
    assert mirror["metadata"]["annotations"]["kubernetes.io/config.source"] == "file"
    assert mirror["metadata"]["ownerReferences"][0]["kind"] == "Node"
    container_id = first(mirror)["containerID"]
    await cluster.delete("web-node-1", grace_period_seconds=0)
    again = await cluster.until(
        "web-node-1", lambda p: is_ready(p) and p["metadata"]["uid"] != mirror["metadata"]["uid"]
    )
    assert first(again)["containerID"] == container_id
    (directory / "web.yaml").unlink()
    await cluster.until_gone("web-node-1")


async def test_a_log_that_grew_is_rotated_and_goes_on(cluster: Cluster) -> None:
    await cluster.create("chatty", command="i=0; while :; do i=$((i+1)); echo line $i; sleep 0.01; done")
    pod = await cluster.until("chatty", is_running)
    assert cluster.agent is not None
    await until_log(cluster, pod, "line 20\n")
    rotator = LogRotator(cluster.agent.runtime, cluster.options.pod_logs, max_bytes=200, max_files=3)
    meta = pod["metadata"]
    path = cluster.options.pod_logs / f"default_chatty_{meta['uid']}" / "c" / "0.log"
    for _ in range(4):
        await rotator.rotate_all()
        await asyncio.sleep(1.05)  # names carry seconds
    kept = rotated_files(path)
    assert len(kept) == 2
    assert [p.suffix == ".gz" for p in kept] == [True, False]
    assert path.stat().st_size > 0


async def test_a_pod_that_wants_an_image_from_nowhere_backs_off(cluster: Cluster) -> None:
    await cluster.create("pull", containers=[{"name": "c", "image": "127.0.0.1:1/a:1"}])
    pod = await cluster.until(
        "pull", lambda p: (first(p).get("state") or {}).get("waiting", {}).get("reason") == "ImagePullBackOff"
    )
    assert first(pod)["state"]["waiting"]["message"].startswith(
        'Back-off pulling image "127.0.0.1:1/a:1": ErrImagePull:'
    )


async def test_an_image_change_replaces_the_container_in_place(cluster: Cluster) -> None:
    from kubelet.images.importer import import_archive
    from kubelet.images.oci import ImageConfig, build_image, busybox_layer

    archive = build_image(
        "localhost/busybox:2",
        [busybox_layer(Path("/bin/busybox").read_bytes(), ["sh", "sleep"])],
        ImageConfig(env=["PATH=/bin"]),
    )
    await import_archive(cluster.machine.endpoint, archive)
    await cluster.create("changes")
    before = await cluster.until("changes", is_ready)
    patch = {"spec": {"containers": [{"name": "c", "image": "localhost/busybox:2"}]}}
    await cluster.client.patch("v1", "pods", "changes", patch, namespace="default", patch_type="strategic")
    after = await cluster.until("changes", lambda p: first(p)["restartCount"] == 1 and is_ready(p))
    assert first(after)["image"] == "localhost/busybox:2"
    assert after["status"]["podIP"] == before["status"]["podIP"]
    assert after["status"]["observedGeneration"] == after["metadata"]["generation"]


async def test_the_node_reports_itself_and_keeps_what_others_wrote(cluster: Cluster) -> None:
    assert cluster.agent is not None
    node = await cluster.client.get("v1", "nodes", "node-1")
    assert node["status"]["nodeInfo"]["containerRuntimeVersion"].startswith("containerd://1.")
    patch = {"status": {"capacity": {"example.com/gpu": "4"}, "allocatable": {"example.com/gpu": "4"}}}
    await cluster.client.patch("v1", "nodes", "node-1", patch, subresource="status")
    await asyncio.sleep(0.3)
    cluster.agent.reporter._reported_at = -1000.0
    await cluster.agent.reporter.report()
    node = await cluster.client.get("v1", "nodes", "node-1")
    assert node["status"]["capacity"]["example.com/gpu"] == "4"
    lease = await cluster.client.get("coordination.k8s.io/v1", "leases", "node-1", namespace="kube-node-lease")
    assert lease["spec"]["holderIdentity"] == "node-1"


async def test_resources_change_in_place(cluster: Cluster) -> None:
    old = {"requests": {"cpu": "100m", "memory": "32Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"}}
    await cluster.create("resized", containers=[shell("sleep 1000", resources=old)])
    before = await cluster.until("resized", is_ready)

    async def resize(cpu: str) -> None:
        new = {"requests": {**old["requests"], "cpu": cpu}, "limits": {**old["limits"], "cpu": cpu}}
        patch = {"spec": {"containers": [{"name": "c", "resources": new}]}}
        await cluster.client.patch(
            "v1", "pods", "resized", patch, namespace="default", subresource="resize", patch_type="strategic"
        )

    await resize("300m")
    after = await cluster.until("resized", lambda p: first(p)["resources"]["limits"]["cpu"] == "300m")
    assert first(after)["containerID"] == first(before)["containerID"]
    assert first(after)["restartCount"] == 0
    quota = Path("/sys/fs/cgroup/cpu") / cluster.machine.cgroup_prefix / "kubepods" / "burstable"
    if quota.exists():
        container = first(after)["containerID"].removeprefix("containerd://")
        (file,) = quota.glob(f"pod{after['metadata']['uid']}/{container}/cpu.cfs_quota_us")
        assert file.read_text().strip() == "30000"
    await resize("500")
    pending = await cluster.until("resized", lambda p: p["status"]["conditions"][0]["type"] == "PodResizePending")
    assert pending["status"]["conditions"][0]["reason"] == "Infeasible"
    assert first(pending)["resources"]["limits"]["cpu"] == "300m"
    await asyncio.sleep(0.2)
    reasons = [event["reason"] for event in await cluster.events("resized") if "Resize" in event["reason"]]
    assert sorted(reasons) == ["ResizeCompleted", "ResizeInfeasible", "ResizeStarted"]


async def test_a_pod_that_fills_its_volume_is_evicted(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cluster.agent is not None
    await cluster.create(
        "fills",
        containers=[shell("head -c 3m /dev/zero > /e/f; sleep 1000", volumeMounts=[{"name": "e", "mountPath": "/e"}])],
        volumes=[{"name": "e", "emptyDir": {"sizeLimit": "1Mi"}}],
    )
    await cluster.until("fills", is_ready)
    await asyncio.sleep(0.5)
    agent = cluster.agent
    evictor = Evictor(agent.pods, agent.pods.context.volumes, agent.runtime, cluster.root)
    await evictor.evict_oversized()
    pod = await cluster.until("fills", lambda p: p["status"]["phase"] == "Failed")
    assert pod["status"]["reason"] == "Evicted"
    assert pod["status"]["message"] == 'Usage of EmptyDir volume "e" exceeds the limit "1Mi". '


async def test_the_downward_api_follows_labels_at_once(cluster: Cluster) -> None:
    items = [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]
    container = shell(
        "while :; do cat /d/labels; echo; sleep 0.2; done",
        volumeMounts=[{"name": "d", "mountPath": "/d"}, {"name": "e", "mountPath": "/e", "subPathExpr": "x-$(POD)"}],
        env=[{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    )
    volumes = [{"name": "d", "downwardAPI": {"items": items}}, {"name": "e", "emptyDir": {}}]
    await cluster.create("labelled", containers=[container], volumes=volumes)
    pod = await cluster.until("labelled", is_ready)
    uid = pod["metadata"]["uid"]
    assert (cluster.root / "pods" / uid / "volumes" / "kubernetes.io~empty-dir" / "e" / "x-labelled").is_dir()
    await cluster.client.patch("v1", "pods", "labelled", {"metadata": {"labels": {"a": "1"}}}, namespace="default")
    await until_log(cluster, pod, 'a="1"', seconds=5)


async def test_a_static_pod_needs_no_api(cluster: Cluster, tmp_path: Path) -> None:
    directory = cluster.root / "manifests"
    directory.mkdir(parents=True)
    await cluster.stop_agent()
    (directory / "alone.yaml").write_text(
        "kind: Pod\nmetadata: {name: alone}\nspec:\n  terminationGracePeriodSeconds: 1\n  containers:\n"
        '  - {name: c, image: "localhost/busybox:1", command: [sh, -c, "sleep 1000"]}\n'
    )
    nowhere = tmp_path / "kubeconfig"
    text = Path(cluster.options.kubeconfig).read_text()
    nowhere.write_text(text.replace(str(cluster.plane.port), "1"))
    options = dataclasses.replace(cluster.options, kubeconfig=nowhere, manifest_dir=directory)
    stop = asyncio.Event()
    alone = asyncio.create_task(run(options, stop=stop))
    runtime = Runtime(cluster.machine.endpoint)
    try:
        for _ in range(200):
            if any(c.state == cri.CONTAINER_RUNNING for c in await runtime.list_containers()):
                break
            await asyncio.sleep(0.05)
        (container,) = await runtime.list_containers()
        assert container.labels["io.kubernetes.pod.name"] == "alone-node-1"
    finally:
        await runtime.close()
        stop.set()
        await alone
    await cluster.start_agent(manifest_dir=directory)
    mirror = await cluster.until("alone-node-1", is_ready)
    assert first(mirror)["containerID"].endswith(container.id)
    (directory / "alone.yaml").unlink()
    await cluster.until_gone("alone-node-1")
