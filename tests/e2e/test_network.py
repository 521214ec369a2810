"""Services and names, as a container on one of three machines sees them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import KUBECTL as KUBECTL_BINARY
from tests.e2e.cluster import CommandFailed, LocalCluster, container_identities, is_running_and_ready, wait_until
from tests.e2e.conftest import GRACE_SECONDS, NODES
from tests.e2e.images import KUBECTL, kubectl_image

pytestmark = [pytest.mark.e2e, pytest.mark.root, pytest.mark.containerd, pytest.mark.timeout(120)]

Object = dict[str, Any]


class Net:
    """Two web pods on node1 and node2, and a client on node3."""

    def __init__(self, cluster: LocalCluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace

    def kubectl(self, *argv: str, **options: Any) -> str:
        return self.cluster.kubectl("-n", self.namespace, *argv, **options)

    def create(self, *objects: Object) -> None:
        for obj in objects:
            self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", **obj}))

    def pod(self, name: str, node: str, image: str, command: list[str] | None, **spec: Any) -> None:
        container: Object = {"name": "main", "image": image}
        if command:
            container["command"] = command
        else:
            container["readinessProbe"] = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
        selector = {"kubernetes.io/hostname": node}
        self.create({"kind": "Pod", "metadata": {"name": name, "labels": {"app": name.partition("-")[0]}}, "spec": {
            "terminationGracePeriodSeconds": 0, "nodeSelector": selector, "containers": [container], **spec}})

    def service(self, name: str, **spec: Any) -> Object:
        self.create({"kind": "Service", "metadata": {"name": name}, "spec": {
            "selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}], **spec}})
        return self.cluster.get("-n", self.namespace, "service", name)

    def shell(self, command: str) -> str:
        return self.kubectl("exec", "client", "--", "sh", "-c", command)

    def ask(self, host: str, times: int = 1) -> list[str]:
        """Who answers: pod names."""
        said = self.shell(f"for i in $(seq {times}); do wget -q -O - http://{host}/ || exit 1; done")
        return [line.split()[0] for line in said.splitlines()]

    def lookup(self, *argv: str) -> str:
        return self.kubectl("exec", "client", "--", "nslookup", *argv)

    def addresses(self) -> dict[str, str]:
        pods = self.cluster.pods(self.namespace, "app=web")
        return {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in pods}


@pytest.fixture(scope="module")
def net(cluster: LocalCluster, namespace: str) -> Net:
    net = Net(cluster, namespace)
    for number, node in enumerate(NODES[:2], 1):
        net.pod(f"web-{number}", node, "localhost/web:1", None, hostname=f"web-{number}", subdomain="crowd")
    net.pod("client", "node3", "localhost/busybox:1", ["sleep", "3600"])
    net.service("web")
    net.service("crowd", clusterIP="None")
    net.kubectl("wait", "--for=condition=Ready", "pods", "--all", "--timeout=40s")
    wait_until("both answer", lambda: set(net.ask("web", 20)) == {"web-1", "web-2"})
    return net


def test_pods_of_all_machines_reach_each_other_unmasked(net: Net) -> None:
    client = net.cluster.get("-n", net.namespace, "pod", "client")["status"]["podIP"]
    for name, address in net.addresses().items():
        assert net.ask(f"{address}:8080") == [name]
        assert f"{client}]:" in net.kubectl("logs", name, "--tail=1")  # it sees who asks


def test_a_pod_reaches_itself_through_its_service(net: Net) -> None:
    loop = "for i in $(seq 20); do wget -q -O - http://web/ || exit 1; done"
    met = {line.split()[0] for line in net.kubectl("exec", "web-1", "--", "sh", "-c", loop).splitlines()}
    assert met == {"web-1", "web-2"}


def test_names_of_services_and_pods(net: Net) -> None:
    zone = f"{net.namespace}.svc.cluster.local"
    service = net.cluster.get("-n", net.namespace, "service", "web")["spec"]["clusterIP"]
    assert service in net.lookup(f"web.{zone}")
    crowd = net.lookup(f"crowd.{zone}")
    for name, address in net.addresses().items():
        assert address in crowd
        assert address in net.lookup(f"{name}.crowd.{zone}")
    assert re.search(rf"0\s+\d+\s+80 web\.{zone}", net.lookup("-type=srv", f"_http._tcp.web.{zone}"))
    assert f"web.{zone}" in net.lookup("-type=ptr", ".".join(reversed(service.split("."))) + ".in-addr.arpa")
    with pytest.raises(CommandFailed, match="NXDOMAIN"):
        net.lookup(f"nobody.{zone}")


def test_an_external_name_is_an_alias(net: Net) -> None:
    net.create({"kind": "Service", "metadata": {"name": "elsewhere"}, "spec": {
        "type": "ExternalName", "externalName": f"web.{net.namespace}.svc.cluster.local"}})
    wait_until("the alias leads there", lambda: net.ask("elsewhere")[0].startswith("web-"))


def test_session_affinity_keeps_a_client_with_one_pod(net: Net) -> None:
    net.service("sticky", sessionAffinity="ClientIP")
    wait_until("it answers", lambda: net.ask("sticky"))
    assert len(set(net.ask("sticky", 25))) == 1


def test_local_traffic_policy_answers_only_where_pods_are_and_shows_the_client(net: Net) -> None:
    port = net.service("near", type="NodePort", externalTrafficPolicy="Local")["spec"]["ports"][0]["nodePort"]
    hosts = {name: net.cluster.get("node", name)["status"]["addresses"][0]["address"] for name in NODES}
    wait_until("node1 answers with its own pod", lambda: set(net.ask(f"{hosts['node1']}:{port}", 5)) == {"web-1"})
    assert set(net.ask(f"{hosts['node2']}:{port}", 5)) == {"web-2"}


def test_internal_traffic_policy_stays_on_the_machine(net: Net) -> None:
    net.service("here", internalTrafficPolicy="Local")
    loop = "for i in $(seq 8); do wget -q -O - http://here/ || exit 1; done"

    def only_its_own() -> bool:
        met = {line.split()[0] for line in net.kubectl("exec", "web-2", "--", "sh", "-c", loop).splitlines()}
        return met == {"web-2"}

    wait_until("web-2 meets only itself", only_its_own)
    with pytest.raises(CommandFailed):  # node3 has none of them: what is sent there is dropped
        net.shell("timeout 2 wget -q -O - http://here/")


def test_a_service_without_endpoints_refuses_at_once(net: Net) -> None:
    net.service("empty", selector={"app": "nobody"})
    wait_until("it is refused", lambda: "Connection refused" in net.shell("wget -O - http://empty/ 2>&1 || true"))


def test_a_pod_speaks_with_the_api_server_as_its_service_account(net: Net, tmp_path: Path) -> None:
    net.kubectl("create", "role", "peek", "--verb=get", "--resource=pods")
    net.kubectl("create", "rolebinding", "peek", "--role=peek", f"--serviceaccount={net.namespace}:default")
    archive = tmp_path / "kubectl.tar"
    archive.write_bytes(kubectl_image(KUBECTL_BINARY.read_bytes()))
    net.cluster.navarch("image", "load", str(archive))
    net.pod("inside", "node3", KUBECTL, ["sleep", "3600"])
    net.kubectl("wait", "--for=condition=Ready", "pod/inside", "--timeout=30s")
    said = net.kubectl("exec", "inside", "--", "kubectl", "get", "pod", "client", "-o", "name")
    assert said == "pod/client\n"
    who = f"system:serviceaccount:{net.namespace}:default"
    with pytest.raises(CommandFailed, match=f'User "{who}" cannot delete resource "pods"'):
        net.kubectl("exec", "inside", "--", "kubectl", "delete", "pod", "client")


def test_a_pod_on_the_network_of_its_machine(net: Net) -> None:
    net.pod("host", "node3", "localhost/busybox:1", ["sleep", "3600"], hostNetwork=True,
            dnsPolicy="ClusterFirstWithHostNet")  # fmt: skip
    net.kubectl("wait", "--for=condition=Ready", "pod/host", "--timeout=30s")
    pod = net.cluster.get("-n", net.namespace, "pod", "host")
    assert pod["status"]["podIP"] == pod["status"]["hostIP"]
    assert net.kubectl("exec", "host", "--", "wget", "-q", "-O", "-", "http://web/").split()[0] in net.addresses()


def test_a_machine_that_is_cut_off_goes_on_and_is_taken_back(net: Net) -> None:
    before = container_identities([net.cluster.get("-n", net.namespace, "pod", "web-2")])
    net.cluster.navarch("nodes", "cut", "node2")
    try:
        wait_until("node2 is NotReady", lambda: not net.cluster.is_ready("node2"), GRACE_SECONDS + 20)
        wait_until("its pod is no endpoint", lambda: set(net.ask("web", 10)) == {"web-1"})
    finally:
        net.cluster.navarch("nodes", "heal", "node2")
    wait_until("node2 is Ready", lambda: net.cluster.is_ready("node2"), 60)
    pod = net.cluster.get("-n", net.namespace, "pod", "web-2")
    wait_until("its pod is Ready", lambda: is_running_and_ready(net.cluster.get("-n", net.namespace, "pod", "web-2")))
    assert container_identities([pod]) == before
    wait_until("both answer again", lambda: set(net.ask("web", 20)) == {"web-1", "web-2"})
