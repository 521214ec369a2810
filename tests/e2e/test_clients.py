"""The Python clients that people script with, as they use them: a kubeconfig, and no knowledge of this project."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import kr8s
import pytest
from kr8s.objects import Deployment, Pod
from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import portforward, stream

from tests.e2e.cluster import LocalCluster, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.root, pytest.mark.containerd, pytest.mark.timeout(120)]


def web(name: str, replicas: int) -> dict[str, Any]:
    container = {"name": "web", "image": "localhost/web:1", "ports": [{"containerPort": 8080}],
                 "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}}  # fmt: skip
    template = {"metadata": {"labels": {"app": name}},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 1}}  # fmt: skip
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template},
    }  # fmt: skip


@pytest.fixture(scope="module")
def api(cluster: LocalCluster) -> Iterator[Any]:
    make: Any = config.new_client_from_config
    made = make(str(cluster.kubeconfig))
    yield made
    made.close()


def test_the_kubernetes_client_runs_a_deployment(api: Any, namespace: str) -> None:
    apps: Any = client.AppsV1Api(api)
    core: Any = client.CoreV1Api(api)
    apps.create_namespaced_deployment(namespace, web("plain", 2))
    changes: Any = watch
    for event in changes.Watch().stream(apps.list_namespaced_deployment, namespace, timeout_seconds=40,
                                        field_selector="metadata.name=plain"):  # fmt: skip
        if (event["object"].status.available_replicas or 0) == 2:
            break
    else:
        pytest.fail("the watch never showed two available replicas")
    pods = core.list_namespaced_pod(namespace, label_selector="app=plain").items
    assert {pod.status.phase for pod in pods} == {"Running"}
    name = pods[0].metadata.name
    said = stream(core.connect_get_namespaced_pod_exec, name, namespace, command=["cat", "/tmp/www/index.html"],
                  stdout=True, stderr=True, stdin=False, tty=False)  # fmt: skip
    assert said == f"{name} v1\n"
    assert "serving version 1" in core.read_namespaced_pod_log(name, namespace)
    assert ask_through_forward(core, name, namespace).endswith(f"{name} v1\n")
    apps.patch_namespaced_deployment_scale("plain", namespace, {"spec": {"replicas": 1}})
    wait_until("one replica", lambda: apps.read_namespaced_deployment("plain", namespace).status.replicas == 1)
    with pytest.raises(ApiException) as refused:
        apps.create_namespaced_deployment(namespace, web("plain", 1))
    assert (refused.value.status, refused.value.reason) == (409, "Conflict")
    apps.delete_namespaced_deployment("plain", namespace, propagation_policy="Foreground")
    wait_until("it is gone", lambda: not core.list_namespaced_pod(namespace, label_selector="app=plain").items)


def ask_through_forward(core: Any, name: str, namespace: str) -> str:
    """The client's port-forward speaks its own form of the protocol, over a WebSocket."""
    forward = portforward(core.connect_get_namespaced_pod_portforward, name, namespace, ports="8080")
    socket = forward.socket(8080)
    socket.settimeout(10)
    socket.sendall(b"GET / HTTP/1.0\r\n\r\n")
    answer = b""
    while not answer.endswith(b" v1\n"):
        answer += socket.recv(4096)
    socket.close()
    assert forward.error(8080) is None
    return answer.decode()


@pytest.mark.filterwarnings("ignore:Kubernetes version v1.36")  # newer than this client has been tried with
def test_kr8s_runs_a_deployment(cluster: LocalCluster, namespace: str) -> None:
    api: Any = kr8s.api(kubeconfig=str(cluster.kubeconfig))
    deployment = Deployment(web("short", 2), namespace=namespace, api=api)
    deployment.create()
    deployment.wait("condition=Available", timeout=40)
    wait_until("two replicas are ready", lambda: deployment.ready(), 40)
    deployment.scale(3)
    wait_until("three pods", lambda: len(deployment.pods()) == 3)
    pod: Pod = deployment.pods()[0]
    pod.wait("condition=Ready", timeout=30)
    assert pod.exec(["cat", "/tmp/www/index.html"]).stdout.decode() == f"{pod.name} v1\n"
    assert "serving version 1" in "\n".join(pod.logs())
    deployment.annotate(seen="yes")
    deployment.refresh()
    assert deployment.annotations["seen"] == "yes"
    assert {each.name for each in api.get("pods", namespace=namespace, label_selector={"app": "short"})} >= {pod.name}
    deployment.delete()
    wait_until("it is gone", lambda: not list(api.get("pods", namespace=namespace, label_selector={"app": "short"})))
