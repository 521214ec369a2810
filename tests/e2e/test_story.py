"""The life of an application on a cluster of three machines, told in order: each test goes on where the last one ended.

Every test first brings the shop to the size it needs, so one failure does not pull the rest along.
"""

from __future__ import annotations

import json
import os
import signal
import time
from functools import partial
from typing import Any

import pytest

from tests.e2e.cluster import MANIFESTS, LocalCluster, container_identities, is_running_and_ready, wait_until
from tests.e2e.conftest import GRACE_SECONDS, NODES
from tests.e2e.traffic import Stream, fetch

pytestmark = [pytest.mark.e2e, pytest.mark.root, pytest.mark.containerd, pytest.mark.timeout(240)]

MANIFEST = str(MANIFESTS / "shop.yaml")
CLIENT = json.dumps({
    "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client"},
    "spec": {"terminationGracePeriodSeconds": 0,
             "containers": [{"name": "client", "image": "localhost/busybox:1", "command": ["sleep", "3600"]}]},
})  # fmt: skip


#: Asks without end and says who answered.
ASK = "while true; do wget -q -O - http://shop/ || echo FAILED; sleep 0.05; done"


class Shop:
    """The application of the story, as its operator sees it."""

    def __init__(self, cluster: LocalCluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace

    def kubectl(self, *argv: str, **options: Any) -> str:
        return self.cluster.kubectl("-n", self.namespace, *argv, **options)

    def pods(self) -> list[dict[str, Any]]:
        return self.cluster.pods(self.namespace, "app=shop")

    def ready_pods(self, count: int) -> list[dict[str, Any]]:
        """Exactly so many, all ready and none that is still ending."""
        pods = self.pods()
        names = [f"{p['metadata']['name']} {p['status'].get('phase')}" for p in pods]
        assert len(pods) == count, names
        assert all(map(is_running_and_ready, pods)), names
        return pods

    def settle(self, count: int, seconds: float = 60) -> list[dict[str, Any]]:
        if not self.kubectl("get", "deployment", "shop", "--ignore-not-found"):
            self.kubectl("apply", "-f", MANIFEST)
        self.kubectl("scale", "deployment/shop", f"--replicas={count}")
        return wait_until(f"{count} replicas are ready", lambda: self.ready_pods(count), seconds)

    @property
    def port(self) -> int:
        return int(self.cluster.get("-n", self.namespace, "service", "shop")["spec"]["ports"][0]["nodePort"])

    def endpoints(self) -> dict[str, str]:
        """Ready address to the node it lies on."""
        found = {}
        slices = self.cluster.items("-n", self.namespace, "endpointslices", "-l", "kubernetes.io/service-name=shop")
        for each in slices:
            for endpoint in each.get("endpoints") or ():
                if endpoint["conditions"].get("ready"):
                    found[endpoint["addresses"][0]] = endpoint["nodeName"]
        return found

    def wait_reached(self, pods: list[dict[str, Any]], seconds: float = 20) -> None:
        """Until requests to the NodePort have met every one of the pods and nobody else for a while."""
        wanted = {pod["metadata"]["name"] for pod in pods}
        met: set[str] = set()

        def all_met() -> bool:
            met.update(fetch(self.port).split()[0] for _ in range(10))
            return wanted <= met

        wait_until(f"all of {sorted(wanted)} answer", all_met, seconds)


@pytest.fixture(scope="module")
def shop(cluster: LocalCluster, namespace: str) -> Shop:
    return Shop(cluster, namespace)


def test_three_nodes_are_ready(cluster: LocalCluster) -> None:
    for node in NODES:
        wait_until(f"{node} is Ready", partial(cluster.is_ready, node))
    assert sorted(n["metadata"]["name"] for n in cluster.items("nodes")) == sorted(NODES)


def test_apply_runs_six_replicas_on_all_nodes(shop: Shop) -> None:
    said = shop.kubectl("apply", "-f", MANIFEST)
    assert said.count(" created") == 4, said
    shop.kubectl("rollout", "status", "deployment/shop", "--timeout=60s", timeout=70)
    pods = shop.settle(6)
    assert {pod["spec"]["nodeName"] for pod in pods} == set(NODES)
    again = shop.kubectl("apply", "-f", MANIFEST)
    assert again.count(" unchanged") == 4, again


def test_server_side_apply_takes_and_shares_fields(shop: Shop) -> None:
    said = shop.kubectl("apply", "--server-side", "--force-conflicts", "-f", MANIFEST)
    assert said.count(" serverside-applied") == 4, said
    deployment = shop.cluster.get("-n", shop.namespace, "deployment", "shop", "--show-managed-fields")
    assert ("kubectl", "Apply") in {(m["manager"], m["operation"]) for m in deployment["metadata"]["managedFields"]}
    shop.settle(6)


def test_containers_see_their_settings(shop: Shop) -> None:
    pod = shop.settle(6)[0]
    said = shop.kubectl("exec", pod["metadata"]["name"], "--", "sh", "-c",
                        'echo "$GREETING|$PASSWORD|$NODE"; cat /data/page.txt /secret/password')  # fmt: skip
    assert said == f"hello|open sesame|{pod['spec']['nodeName']}\nfrom a config map\nopen sesame"


def test_every_replica_is_reached_through_every_door(shop: Shop) -> None:
    pods = shop.settle(6)
    names = {pod["metadata"]["name"] for pod in pods}
    shop.wait_reached(pods)
    shop.kubectl("apply", "-f", "-", stdin=CLIENT)
    shop.kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=30s")
    address = shop.cluster.get("-n", shop.namespace, "service", "shop")["spec"]["clusterIP"]
    for door in (address, "shop", f"shop.{shop.namespace}.svc.cluster.local"):
        loop = f"for i in $(seq 60); do wget -q -O - http://{door}/ || exit 1; done"
        met = {line.split()[0] for line in shop.kubectl("exec", "client", "--", "sh", "-c", loop).splitlines()}
        assert met == names, f"through {door}"
    for node in NODES:  # each node serves the port, wherever the pods are
        asked = shop.cluster.get("node", node)["status"]["addresses"][0]["address"]
        assert shop.kubectl("exec", "client", "--", "wget", "-q", "-O", "-", f"http://{asked}:{shop.port}/")


def test_scale_to_twelve_and_back_to_three(shop: Shop) -> None:
    shop.settle(6)
    twelve = shop.settle(12)
    assert len(shop.endpoints()) == 12
    assert len({pod["status"]["podIP"] for pod in twelve}) == 12
    three = shop.settle(3)
    wait_until("endpoints are the three pods", lambda: set(shop.endpoints()) == {p["status"]["podIP"] for p in three})
    shop.wait_reached(three)


def test_rolling_update_and_rollback_lose_no_request(shop: Shop) -> None:
    """Two streams: from outside through a NodePort, and from a pod through the Service's name."""
    shop.settle(3)
    shop.kubectl("delete", "pod", "asker", "--ignore-not-found", "--wait=true")
    shop.kubectl("run", "asker", "--image=localhost/busybox:1", "--restart=Never", "--", "sh", "-c", ASK)
    wait_until("the pod asks", lambda: "v1" in shop.kubectl("logs", "asker", "--tail=1"))
    with Stream(shop.port) as stream:
        wait_until("requests flow", lambda: stream.total > 50)
        shop.kubectl("set", "image", "deployment/shop", "web=localhost/web:2")
        shop.kubectl("rollout", "status", "deployment/shop", "--timeout=60s", timeout=70)
        updated = wait_until("only new replicas are left", lambda: shop.ready_pods(3))
        assert {pod["spec"]["containers"][0]["image"] for pod in updated} == {"localhost/web:2"}
        shop.wait_reached(updated)
        shop.kubectl("rollout", "undo", "deployment/shop")
        shop.kubectl("rollout", "status", "deployment/shop", "--timeout=60s", timeout=70)
        wait_until("only old replicas are left", lambda: shop.ready_pods(3))
    assert not stream.failures, f"{len(stream.failures)} of {stream.total} requests failed: {stream.failures[:5]}"
    inside = shop.kubectl("logs", "asker").splitlines()
    shop.kubectl("delete", "pod", "asker", "--grace-period=0", "--force")
    assert not [line for line in inside if "FAILED" in line], f"{inside.count('FAILED')} of {len(inside)} failed"
    assert {line.split()[1] for line in inside} == {"v1", "v2"}
    assert {text.split()[1] for text in stream.answers} == {"v1", "v2"}
    history = shop.kubectl("rollout", "history", "deployment/shop").split("CHANGE-CAUSE")[1].split()
    assert history[::2] == ["2", "3"]  # going back to a revision makes it the newest


def test_a_killed_process_is_restarted_in_place(shop: Shop) -> None:
    pods = shop.settle(3)
    victim = pods[0]["metadata"]["name"]
    before = container_identities(pods)
    with Stream(shop.port) as stream:
        pid = shop.cluster.container_pid(pods[0]["spec"]["nodeName"], before[victim][0])
        os.kill(pid, signal.SIGKILL)

        def restarted() -> bool:
            counts = {name: identity[2] for name, identity in container_identities(shop.ready_pods(3)).items()}
            assert counts[victim] <= 1
            return counts[victim] == 1

        wait_until(f"{victim} is restarted", restarted)
    after = container_identities(shop.ready_pods(3))
    assert {n: i for n, i in after.items() if n != victim} == {n: i for n, i in before.items() if n != victim}
    assert stream.total > 0
    last = shop.cluster.get("-n", shop.namespace, "pod", victim)["status"]["containerStatuses"][0]["lastState"]
    assert last["terminated"]["exitCode"] == 137
    # Whoever was connected to the killed process loses that request; the service as a whole answers all the time.
    assert len(stream.failures) < stream.total / 10, stream.failures[:5]


def test_a_deleted_pod_is_replaced(shop: Shop) -> None:
    pods = shop.settle(3)
    gone = pods[0]["metadata"]["name"]
    shop.kubectl("delete", "pod", gone, "--wait=false")
    after = wait_until("three others", lambda: [p for p in shop.ready_pods(3) if p["metadata"]["name"] != gone][2:])
    assert after


def test_a_lost_node_gives_its_pods_away_and_comes_back(shop: Shop) -> None:
    shop.kubectl("delete", "pod", "client", "--ignore-not-found")
    shop.settle(6)
    lost = "node3"
    before = {p["metadata"]["name"]: p["spec"]["nodeName"] for p in shop.pods()}
    assert lost in before.values()
    shop.cluster.navarch("nodes", "stop", lost)
    try:
        wait_until(f"{lost} is NotReady", lambda: not shop.cluster.is_ready(lost), GRACE_SECONDS + 20)
        taints = wait_until("taints", lambda: shop.cluster.get("node", lost)["spec"].get("taints"))
        assert {"node.kubernetes.io/unreachable"} <= {taint["key"] for taint in taints}

        def six_elsewhere() -> list[str]:
            alive = [p for p in shop.pods() if is_running_and_ready(p) and p["spec"]["nodeName"] != lost]
            return [p["metadata"]["name"] for p in alive] if len(alive) == 6 else []

        alive = wait_until("six replicas on the other nodes", six_elsewhere)
        assert lost not in shop.endpoints().values()
        with Stream(shop.port) as stream:
            wait_until("requests flow", lambda: stream.total > 100)
        assert not stream.failures, stream.failures[:5]
        assert {text.split()[0] for text in stream.answers} <= set(alive)
    finally:
        shop.cluster.navarch("nodes", "start", lost)
    assert shop.cluster.is_ready(lost)
    pods = wait_until("six replicas and no more", lambda: shop.ready_pods(6))
    assert {p["metadata"]["name"] for p in pods} == set(alive)
    wait_until(f"nothing of the old pods on {lost}", lambda: not shop.cluster.traces(lost))


@pytest.mark.parametrize("component", ["apiserver", "scheduler", "controllers", "agent@node1", "agent@node2"])
def test_a_killed_component_comes_back_and_no_container_notices(shop: Shop, component: str) -> None:
    before = container_identities(shop.settle(6))
    with Stream(shop.port) as stream:
        old = shop.cluster.kill(component)
        shop.cluster.wait_restarted(component, old)
        wait_until(f"{component} is well", lambda: shop.cluster.kubectl("get", "--raw", "/readyz") == "ok")
        # The cluster acts again: a change that needs all of them comes true.
        shop.kubectl("delete", "pod", "proof", "--ignore-not-found", "--wait=true")
        shop.kubectl("run", "proof", "--image=localhost/busybox:1", "--restart=Never", "--", "true")
        shop.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/proof", "--timeout=40s", timeout=50)
    assert container_identities(shop.ready_pods(6)) == before
    assert stream.total > 0
    assert not stream.failures, stream.failures[:5]


def test_nothing_acknowledged_is_lost_when_the_api_server_dies(shop: Shop) -> None:
    """Objects are written while the server is killed; whatever was answered is there afterwards."""
    acknowledged = []
    old = 0
    for number in range(40):
        name = f"kept-{number}"
        if number == 20:
            old = shop.cluster.kill("apiserver")
        try:
            shop.kubectl("create", "configmap", name, "--from-literal=a=b", timeout=20)
        except AssertionError:
            continue
        acknowledged.append(name)
    shop.cluster.wait_restarted("apiserver", old)
    wait_until("the API answers", lambda: shop.cluster.kubectl("get", "--raw", "/readyz") == "ok")
    there = {obj["metadata"]["name"] for obj in shop.cluster.items("-n", shop.namespace, "configmaps")}
    assert len(acknowledged) >= 35  # the socket is held open meanwhile: clients wait rather than fail
    assert set(acknowledged) <= there


def test_power_loss_of_the_whole_control_plane(shop: Shop) -> None:
    before = container_identities(shop.settle(6))
    names = [name for name in shop.cluster.components() if not name.startswith("containerd")]
    killed = {name: shop.cluster.kill(name) for name in names}
    for name, pid in killed.items():
        shop.cluster.wait_restarted(name, pid)
    wait_until("the API answers", lambda: shop.cluster.kubectl("get", "--raw", "/readyz") == "ok")
    for node in NODES:
        wait_until(f"{node} is Ready", partial(shop.cluster.is_ready, node))
    assert container_identities(shop.ready_pods(6)) == before
    shop.settle(3)


def test_delete_leaves_nothing_on_any_node(shop: Shop) -> None:
    shop.settle(3)
    shop.kubectl("delete", "-f", MANIFEST, "--timeout=40s", timeout=50)
    shop.kubectl("delete", "pods", "--all", "--timeout=40s", timeout=50)
    shop.kubectl("delete", "configmaps", "--all")
    began = time.monotonic()
    for node in NODES:
        wait_until(f"{node} is as it was", partial(no_traces, shop.cluster, node), 40)
    assert time.monotonic() - began < 40
    assert not shop.endpoints()


def no_traces(cluster: LocalCluster, node: str) -> bool:
    traces = cluster.traces(node)
    assert not traces, traces
    return True
