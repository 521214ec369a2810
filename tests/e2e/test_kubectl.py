"""Every verb of stock kubectl that people use each day, on real containers."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import CommandFailed, LocalCluster, is_running_and_ready, wait_until
from tests.e2e.conftest import NODES
from tests.e2e.traffic import fetch
from tests.support.processes import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.root, pytest.mark.containerd, pytest.mark.timeout(120)]

TALKER = """\
apiVersion: v1
kind: Pod
metadata:
  name: talker
  labels: {app: talker}
spec:
  terminationGracePeriodSeconds: 0
  tolerations: [{operator: Exists}]   # stays where it is while nodes are emptied
  initContainers:
  - {name: first, image: "localhost/busybox:1", command: [sh, -c, "echo first was here"]}
  containers:
  - name: main
    image: localhost/busybox:1
    command: [sh, -c, "i=0; while true; do echo line $i; i=$((i+1)); sleep 0.2; done"]
  - name: echo
    image: localhost/busybox:1
    stdin: true
    command: [sh, -c, "while read line; do echo \\"heard $line\\"; done"]
"""
WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: localhost/web:1
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: http}]
"""


class Shell:
    """kubectl in the module's namespace."""

    def __init__(self, cluster: LocalCluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace

    def __call__(self, *argv: str, **options: Any) -> str:
        return self.cluster.kubectl("-n", self.namespace, *argv, **options)

    def start(self, *argv: str) -> subprocess.Popen[str]:
        return self.cluster.start_kubectl("-n", self.namespace, *argv)

    def get(self, *argv: str) -> dict[str, Any]:
        return self.cluster.get("-n", self.namespace, *argv)


@pytest.fixture(scope="module")
def kubectl(cluster: LocalCluster, namespace: str) -> Iterator[Shell]:
    shell = Shell(cluster, namespace)
    shell("apply", "-f", "-", stdin=TALKER)
    shell("apply", "-f", "-", stdin=WEB)
    shell("wait", "--for=condition=Ready", "pod/talker", "--timeout=30s")
    shell("rollout", "status", "deployment/web", "--timeout=30s")
    yield shell
    for node in NODES:
        cluster.kubectl("uncordon", node)


def test_exec_carries_streams_and_exit_status(kubectl: Shell) -> None:
    assert kubectl("exec", "talker", "-c", "main", "--", "echo", "a b") == "a b\n"
    assert kubectl("exec", "-i", "talker", "-c", "main", "--", "cat", stdin="x" * 100_000) == "x" * 100_000
    with pytest.raises(CommandFailed) as failed:
        kubectl("exec", "talker", "-c", "main", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (failed.value.status, failed.value.stdout) == (7, "out\n")
    assert failed.value.stderr == "err\ncommand terminated with exit code 7\n"


def test_exec_of_a_command_that_does_not_exist(kubectl: Shell) -> None:
    with pytest.raises(CommandFailed) as failed:
        kubectl("exec", "talker", "-c", "main", "--", "no-such-command")
    assert failed.value.status == 1
    assert 'exec: "no-such-command": executable file not found in $PATH' in failed.value.stderr


def test_logs_of_each_container_whole_and_in_part(kubectl: Shell) -> None:
    assert kubectl("logs", "talker", "-c", "first") == "first was here\n"
    wait_until("ten lines", lambda: kubectl("logs", "talker", "-c", "main").count("\n") >= 10)
    whole = kubectl("logs", "talker", "-c", "main").splitlines()
    assert whole[:3] == ["line 0", "line 1", "line 2"]
    assert len(kubectl("logs", "talker", "-c", "main", "--tail=2").splitlines()) == 2
    stamped = kubectl("logs", "talker", "-c", "main", "--timestamps", "--limit-bytes=40")
    assert stamped.startswith(time.strftime("%Y-", time.gmtime()))
    prefixed = kubectl("logs", "-l", "app=talker", "-c", "main", "--prefix", "--tail=1")
    assert prefixed.startswith("[pod/talker/main] line")


def test_logs_follow_until_the_pod_ends(kubectl: Shell) -> None:
    kubectl("run", "counter", "--image=localhost/busybox:1", "--restart=Never", "--",
            "sh", "-c", "for i in 1 2 3 4 5; do echo $i; sleep 0.3; done")  # fmt: skip
    wait_until("it has started", lambda: kubectl.get("pod", "counter")["status"]["phase"] != "Pending")
    assert kubectl("logs", "-f", "counter", timeout=20).split() == ["1", "2", "3", "4", "5"]
    kubectl("delete", "pod", "counter")


def test_attach_to_a_running_container(kubectl: Shell) -> None:
    attached = kubectl.start("attach", "-i", "talker", "-c", "echo")
    try:
        assert attached.stdin is not None
        assert attached.stdout is not None
        attached.stdin.write("you\n")
        attached.stdin.flush()
        heard = read_line(attached, "heard")
        assert heard == "heard you\n"
    finally:
        end(attached)


def test_run_attached_and_removed(kubectl: Shell) -> None:
    said = kubectl("run", "once", "--image=localhost/busybox:1", "--rm", "--attach", "--restart=Never", "--quiet", "--",
                   "sh", "-c", "sleep 0.5; echo from a pod")  # fmt: skip
    assert "from a pod\n" in said
    assert "once" not in kubectl("get", "pods")


def test_cp_both_ways(kubectl: Shell, tmp_path: Path) -> None:
    (tmp_path / "tree/sub").mkdir(parents=True)
    (tmp_path / "tree/sub/file").write_text("deep\n")
    (tmp_path / "tree/blob").write_bytes(bytes(range(256)) * 400)
    kubectl("cp", str(tmp_path / "tree"), "talker:/tmp/tree", "-c", "main")
    assert kubectl("exec", "talker", "-c", "main", "--", "cat", "/tmp/tree/sub/file") == "deep\n"
    kubectl("cp", "talker:/tmp/tree", str(tmp_path / "back"), "-c", "main")
    assert (tmp_path / "back/blob").read_bytes() == (tmp_path / "tree/blob").read_bytes()


@pytest.mark.parametrize("target", ["pod", "service/web", "deployment/web"])
def test_port_forward(kubectl: Shell, target: str) -> None:
    if target == "pod":
        target = kubectl("get", "pods", "-l", "app=web", "-o", "name").split()[0]
    port = free_port()
    forward = kubectl.start("port-forward", target, f"{port}:{80 if target.startswith('service') else 8080}")
    try:
        read_line(forward, "Forwarding")
        for _ in range(3):
            assert fetch(port).endswith(" v1")
    finally:
        end(forward)


def test_top_tells_what_is_used(kubectl: Shell) -> None:
    def measured() -> dict[str, list[str]]:
        found = {line.split()[0]: line.split()[1:] for line in kubectl("top", "pods", "--no-headers").splitlines()}
        assert len(found) >= 3, found
        return found

    cpu, memory = wait_until("all pods are measured", measured, 40)["talker"]
    assert cpu.endswith("m")
    assert memory.endswith("Mi")
    names = {line.split()[1] for line in kubectl("top", "pod", "talker", "--containers", "--no-headers").splitlines()}
    assert names == {"main", "echo"}
    nodes = {line.split()[0] for line in kubectl("top", "nodes", "--no-headers").splitlines()}
    assert nodes == set(NODES)


def test_explain_reads_the_published_schema(kubectl: Shell) -> None:
    said = kubectl("explain", "deployment.spec.strategy.rollingUpdate")
    assert said.startswith("GROUP:      apps\nKIND:       Deployment\nVERSION:    v1\n")
    assert "maxSurge" in said
    assert "FIELD: ephemeralContainers" in kubectl("explain", "pod.spec.ephemeralContainers")


def test_describe_shows_state_and_events(kubectl: Shell) -> None:
    said = kubectl("describe", "pod", "talker")
    for text in ("Status:           Running", "Container image \"localhost/busybox:1\" already present", "QoS Class:"):
        assert text in said
    said = kubectl("describe", "deployment", "web")
    assert "2 desired | 2 updated | 2 total | 2 available | 0 unavailable" in said
    assert "ScalingReplicaSet" in said
    assert "Non-terminated Pods:" in kubectl("describe", "node", "node1")


def test_rollout_restart_pause_resume_history_undo(kubectl: Shell) -> None:
    kubectl("rollout", "restart", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=40s")
    kubectl("rollout", "pause", "deployment/web")
    kubectl("set", "image", "deployment/web", "web=localhost/web:2")
    assert images(kubectl) == {"localhost/web:1"}
    kubectl("rollout", "resume", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=40s")
    wait_until("the new image", lambda: images(kubectl) == {"localhost/web:2"})
    assert "localhost/web:2" in kubectl("rollout", "history", "deployment/web", "--revision=3")
    kubectl("rollout", "undo", "deployment/web", "--to-revision=1")
    kubectl("rollout", "status", "deployment/web", "--timeout=40s")
    wait_until("the first image", lambda: images(kubectl) == {"localhost/web:1"})


def images(kubectl: Shell) -> set[str]:
    pods = kubectl.get("pods", "-l", "app=web")["items"]
    return {pod["spec"]["containers"][0]["image"] for pod in pods if "deletionTimestamp" not in pod["metadata"]}


def test_label_annotate_and_their_selectors(kubectl: Shell) -> None:
    kubectl("label", "pod", "talker", "tier=back")
    assert kubectl("get", "pods", "-l", "tier in (back,front)", "-o", "name") == "pod/talker\n"
    with pytest.raises(CommandFailed, match="--overwrite is false"):
        kubectl("label", "pod", "talker", "tier=front")
    kubectl("label", "pod", "talker", "tier-")
    kubectl("annotate", "pod", "talker", "note=read me")
    assert kubectl.get("pod", "talker")["metadata"]["annotations"]["note"] == "read me"


def test_wait_for_conditions_fields_and_deletion(kubectl: Shell) -> None:
    kubectl("run", "brief", "--image=localhost/busybox:1", "--restart=Never", "--", "sleep", "0.5")
    kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/brief", "--timeout=20s")
    kubectl("delete", "pod", "brief", "--wait=false")
    kubectl("wait", "--for=delete", "pod/brief", "--timeout=20s")
    with pytest.raises(CommandFailed, match="timed out waiting for the condition"):
        kubectl("wait", "--for=condition=Ready=false", "pod/talker", "--timeout=1s")


def test_get_watch_sees_a_pod_come_and_go(kubectl: Shell) -> None:
    watch = kubectl.start("get", "pods", "-w", "--output-watch-events", "-l", "run=seen")
    try:
        time.sleep(0.5)  # its first list is empty and prints nothing that could be waited for
        kubectl("run", "seen", "--image=localhost/busybox:1", "--restart=Never", "--", "true")
        read_line(watch, "ADDED")
        read_line(watch, "Completed")
        kubectl("delete", "pod", "seen")
        read_line(watch, "DELETED")
    finally:
        end(watch)


def test_debug_puts_a_container_into_a_running_pod(kubectl: Shell) -> None:
    kubectl("debug", "talker", "--image=localhost/busybox:1", "--target=main", "-c", "helper", "--",
            "sh", "-c", "ps; echo helped; sleep 3600")  # fmt: skip
    said = wait_until("the helper speaks", lambda: said_by(kubectl, "helper", "helped"))
    assert "while true; do echo line" in said  # --target: it sees the other container's processes
    states = kubectl.get("pod", "talker")["status"]["ephemeralContainerStatuses"]
    assert "running" in states[0]["state"]


def said_by(kubectl: Shell, container: str, text: str) -> str:
    try:
        said = kubectl("logs", "talker", "-c", container)
    except CommandFailed:
        return ""
    return said if text in said else ""


def test_diff_tells_what_would_change(kubectl: Shell) -> None:
    with pytest.raises(CommandFailed) as failed:
        kubectl("diff", "-f", "-", stdin=WEB.replace("replicas: 2", "replicas: 4"))
    assert failed.value.status == 1
    assert "+  replicas: 4" in failed.value.stdout
    assert "-  replicas: 2" in failed.value.stdout


def test_cordon_taint_and_drain_move_pods(kubectl: Shell) -> None:
    for node in ("node2", "node3"):
        kubectl("cordon", node)
    kubectl("scale", "deployment/web", "--replicas=4")
    wait_until("four replicas", lambda: len(ready_on(kubectl)) == 4)
    fresh = [node for node in ready_on(kubectl).values() if node == "node1"]
    assert len(fresh) >= 2
    kubectl("uncordon", "node2")
    kubectl("uncordon", "node3")
    kubectl("drain", "node1", "--ignore-daemonsets", "--force", "--delete-emptydir-data", "--timeout=40s",
            "--pod-selector=app=web", timeout=50)  # fmt: skip
    wait_until("four replicas elsewhere",
               lambda: len(ready_on(kubectl)) == 4 and "node1" not in ready_on(kubectl).values())  # fmt: skip
    kubectl("uncordon", "node1")
    kubectl("taint", "node", "node2", "quiet=please:NoExecute")
    try:
        wait_until("no web pod on node2",
                   lambda: len(ready_on(kubectl)) == 4 and "node2" not in ready_on(kubectl).values())  # fmt: skip
    finally:
        kubectl("taint", "node", "node2", "quiet:NoExecute-")


def ready_on(kubectl: Shell) -> dict[str, str]:
    pods = kubectl.get("pods", "-l", "app=web")["items"]
    return {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in pods if is_running_and_ready(pod)}


def test_a_budget_holds_back_an_eviction(kubectl: Shell) -> None:
    kubectl("scale", "deployment/web", "--replicas=2")
    wait_until("two replicas", lambda: len(ready_on(kubectl)) == 2)
    kubectl("create", "poddisruptionbudget", "web", "--selector=app=web", "--min-available=2")
    wait_until("the budget is counted",
               lambda: kubectl.get("pdb", "web")["status"].get("currentHealthy") == 2)  # fmt: skip
    name, node = next(iter(ready_on(kubectl).items()))
    with pytest.raises(CommandFailed, match="violate the pod's disruption budget"):
        kubectl("drain", node, "--ignore-daemonsets", "--force", "--pod-selector=app=web", "--timeout=3s")
    assert name in ready_on(kubectl)
    kubectl("uncordon", node)
    kubectl("delete", "pdb", "web")


def test_proxy_reaches_a_service_through_the_api_server(kubectl: Shell) -> None:
    said = kubectl("get", "--raw", f"/api/v1/namespaces/{kubectl.namespace}/services/web:80/proxy/")
    assert said.strip().endswith(" v1")


def test_auth_can_i_and_a_service_account_token(kubectl: Shell) -> None:
    kubectl("create", "serviceaccount", "reader")
    kubectl("create", "role", "reads", "--verb=get,list", "--resource=pods")
    kubectl("create", "rolebinding", "reads", "--role=reads", f"--serviceaccount={kubectl.namespace}:reader")
    token = kubectl("create", "token", "reader").strip()
    server = f"https://127.0.0.1:{kubectl.cluster.port}"
    authority = str(kubectl.cluster.home / "pki/ca.crt")
    as_reader = ("--kubeconfig=/dev/null", f"--server={server}", f"--certificate-authority={authority}",
                 f"--token={token}")  # fmt: skip
    assert "talker" in kubectl(*as_reader, "get", "pods")
    with pytest.raises(CommandFailed) as failed:
        kubectl(*as_reader, "delete", "pod", "talker")
    who = f"system:serviceaccount:{kubectl.namespace}:reader"
    assert f'pods "talker" is forbidden: User "{who}" cannot delete resource "pods"' in failed.value.stderr
    assert kubectl("auth", "can-i", "list", "pods", f"--as={who}") == "yes\n"


def test_events_tell_the_story_of_a_pod(kubectl: Shell) -> None:
    events = kubectl.get("events", "--field-selector=involvedObject.name=talker")["items"]
    assert {"Scheduled", "Pulled", "Created", "Started"} <= {event["reason"] for event in events}
    assert json.loads(kubectl("get", "--raw", "/apis/events.k8s.io/v1/events?limit=1"))["items"]


def read_line(process: subprocess.Popen[str], text: str, seconds: float = 20) -> str:
    """The next line of its output that has ``text`` in it; the process is killed when none comes in time."""
    assert process.stdout is not None
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        seen = []
        for line in process.stdout:
            if text in line:
                return line
            seen.append(line)
        errors = process.stderr.read() if process.stderr is not None else ""
        raise AssertionError(f"no line with {text!r} in {seconds} s, but {seen}; {errors}")
    finally:
        timer.cancel()


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()
