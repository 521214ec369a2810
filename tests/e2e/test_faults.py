"""What goes wrong every day: each mistake is told in the right words at the right place, and nothing is left half done."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.cluster import CommandFailed, LocalCluster, condition, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.root, pytest.mark.containerd, pytest.mark.timeout(120)]

BUSYBOX = "localhost/busybox:1"


class Lab:
    def __init__(self, cluster: LocalCluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace

    def kubectl(self, *argv: str, **options: Any) -> str:
        return self.cluster.kubectl("-n", self.namespace, *argv, **options)

    def run(self, name: str, **spec: Any) -> None:
        containers = [{"name": "main", "image": BUSYBOX, "command": ["sleep", "3600"], **spec.pop("container", {})}]
        whole = {"terminationGracePeriodSeconds": 0, "containers": containers, **spec}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": whole}
        self.kubectl("create", "-f", "-", stdin=json.dumps(pod))

    def pod(self, name: str) -> dict[str, Any]:
        return self.cluster.get("-n", self.namespace, "pod", name)

    def failed(self, name: str) -> dict[str, Any]:
        pod = self.pod(name)
        assert pod["status"].get("phase") == "Failed", pod["status"]
        return pod

    def waiting(self, name: str) -> str:
        """The reason for which its first container waits, or ""."""
        statuses = self.pod(name)["status"].get("containerStatuses") or [{"state": {}}]
        return str((statuses[0]["state"].get("waiting") or {}).get("reason", ""))

    def events(self, name: str) -> dict[str, str]:
        """Reason to message."""
        found = self.cluster.items("-n", self.namespace, "events", "--field-selector", f"involvedObject.name={name}")
        return {event["reason"]: event["message"] for event in found}


@pytest.fixture(scope="module")
def lab(cluster: LocalCluster, namespace: str) -> Lab:
    return Lab(cluster, namespace)


def refusal(lab: Lab, *argv: str, **options: Any) -> str:
    with pytest.raises(CommandFailed) as failed:
        lab.kubectl(*argv, **options)
    assert failed.value.status == 1
    return failed.value.stderr


# --- containers ---------------------------------------------------------------------------------------------------


def test_an_image_that_does_not_exist(lab: Lab) -> None:
    lab.run("no-image", container={"image": "localhost:1/none:1"})
    wait_until("the pull fails", lambda: lab.waiting("no-image") in ("ErrImagePull", "ImagePullBackOff"))
    wait_until("it backs off", lambda: lab.waiting("no-image") == "ImagePullBackOff")
    events = lab.events("no-image")
    assert events["Pulling"] == 'Pulling image "localhost:1/none:1"'
    assert 'Back-off pulling image "localhost:1/none:1"' in events["BackOff"]
    assert lab.pod("no-image")["status"]["phase"] == "Pending"


def test_an_image_that_may_not_be_pulled(lab: Lab) -> None:
    lab.run("never", container={"image": "localhost/absent:1", "imagePullPolicy": "Never"})
    wait_until("it is refused", lambda: lab.waiting("never") == "ErrImageNeverPull")
    message = lab.events("never")["ErrImageNeverPull"]
    assert message == 'Container image "localhost/absent:1" is not present with pull policy of Never'


def test_a_command_that_does_not_exist(lab: Lab) -> None:
    lab.run("no-command", container={"command": ["/no/such/thing"]}, restartPolicy="Never")
    pod = wait_until("it fails", lambda: lab.failed("no-command"))
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("StartError", 128)
    assert "no such file or directory" in ended["message"]


def test_a_crash_loop_backs_off_and_keeps_its_last_words(lab: Lab) -> None:
    lab.run("crash", container={"command": ["sh", "-c", "echo bye; echo why > /dev/termination-log; exit 3"]})
    wait_until("it backs off", lambda: lab.waiting("crash") == "CrashLoopBackOff", 40)
    status = lab.pod("crash")["status"]["containerStatuses"][0]
    assert status["restartCount"] >= 1
    assert status["lastState"]["terminated"]["exitCode"] == 3
    assert status["lastState"]["terminated"]["message"] == "why\n"
    assert lab.kubectl("logs", "crash", "--previous") == "bye\n"
    assert "Back-off restarting failed container main in pod crash" in lab.events("crash")["BackOff"]


def test_a_container_that_takes_too_much_memory(lab: Lab) -> None:
    eat = "x=$(yes | head -c 60000000 | tr -d '\\n'); echo ${#x}"
    lab.run("greedy", container={"command": ["sh", "-c", eat], "resources": {"limits": {"memory": "16Mi"}}},
            restartPolicy="Never")  # fmt: skip
    pod = wait_until("it is killed", lambda: lab.failed("greedy"))
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["reason"] == "OOMKilled"


def test_a_failing_liveness_probe_restarts_the_container(lab: Lab) -> None:
    probe = {"exec": {"command": ["test", "-e", "/tmp/well"]}, "periodSeconds": 1, "failureThreshold": 2}
    lab.run("ill", container={"command": ["sh", "-c", "touch /tmp/well; sleep 2; rm /tmp/well; sleep 3600"],
                              "livenessProbe": probe})  # fmt: skip
    wait_until("it is restarted", lambda: lab.pod("ill")["status"]["containerStatuses"][0]["restartCount"] >= 1)
    events = lab.events("ill")
    assert events["Unhealthy"].startswith("Liveness probe failed:")
    assert "Container main failed liveness probe, will be restarted" in events["Killing"]


# --- placement ----------------------------------------------------------------------------------------------------


def test_a_pod_that_fits_nowhere_says_why_and_is_placed_when_it_fits(lab: Lab) -> None:
    lab.run("picky", nodeSelector={"disk": "fast"})
    wait_until("it is refused", lambda: "FailedScheduling" in lab.events("picky"))
    message = lab.events("picky")["FailedScheduling"]
    assert message.startswith("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.")
    assert condition(lab.pod("picky"), "PodScheduled") == "False"
    lab.cluster.kubectl("label", "node", "node2", "disk=fast")
    try:
        lab.kubectl("wait", "--for=condition=Ready", "pod/picky", "--timeout=20s")
        assert lab.pod("picky")["spec"]["nodeName"] == "node2"
    finally:
        lab.cluster.kubectl("label", "node", "node2", "disk-")


def test_too_much_cpu_is_asked_for(lab: Lab) -> None:
    lab.run("huge", container={"resources": {"requests": {"cpu": "1000"}}})
    wait_until("it is refused", lambda: "FailedScheduling" in lab.events("huge"))
    assert "0/3 nodes are available: 3 Insufficient cpu." in lab.events("huge")["FailedScheduling"]


def test_a_port_of_the_machine_is_taken_once_a_node(lab: Lab) -> None:
    port = {"ports": [{"containerPort": 8080, "hostPort": 18080}], "image": "localhost/web:1", "command": None}
    for number in range(4):
        lab.run(f"port-{number}", container=port)
    wait_until("the fourth is refused", lambda: "FailedScheduling" in {
        reason for number in range(4) for reason in lab.events(f"port-{number}")})  # fmt: skip
    messages = [lab.events(f"port-{number}").get("FailedScheduling", "") for number in range(4)]
    assert any("3 node(s) didn't have free ports for the requested pod ports." in message for message in messages)
    placed = [pod for n in range(4) if (pod := lab.pod(f"port-{n}"))["spec"].get("nodeName")]
    assert len({pod["spec"]["nodeName"] for pod in placed}) == 3
    address = placed[0]["status"]["hostIP"]
    lab.run("asker")
    lab.kubectl("wait", "--for=condition=Ready", "pod/asker", "--timeout=20s")
    ask = ("exec", "asker", "--", "wget", "-qO-", f"http://{address}:18080/")
    said = wait_until("the port answers", lambda: lab.kubectl(*ask))
    assert said.split()[0] == placed[0]["metadata"]["name"]


# --- volumes ------------------------------------------------------------------------------------------------------


def test_a_config_map_that_is_missing_holds_the_pod_until_it_comes(lab: Lab) -> None:
    mount = {"volumeMounts": [{"name": "late", "mountPath": "/late"}]}
    lab.run("patient", container=mount, volumes=[{"name": "late", "configMap": {"name": "late"}}])
    wait_until("it is told", lambda: "FailedMount" in lab.events("patient"))
    message = lab.events("patient")["FailedMount"]
    assert message == 'MountVolume.SetUp failed for volume "late" : configmap "late" not found'
    lab.kubectl("create", "configmap", "late", "--from-literal=a=b")
    lab.kubectl("wait", "--for=condition=Ready", "pod/patient", "--timeout=60s")
    assert lab.kubectl("exec", "patient", "--", "cat", "/late/a") == "b"


def test_a_volume_that_overflows_evicts_its_pod(lab: Lab) -> None:
    fill = "dd if=/dev/zero of=/scratch/file bs=1M count=8 2>/dev/null; sleep 3600"
    lab.run("full", container={"command": ["sh", "-c", fill], "volumeMounts": [{"name": "s", "mountPath": "/scratch"}]},
            volumes=[{"name": "s", "emptyDir": {"sizeLimit": "2Mi"}}])  # fmt: skip
    pod = wait_until("it is evicted", lambda: lab.failed("full"), 90)
    assert pod["status"]["reason"] == "Evicted"
    assert pod["status"]["message"] == 'Usage of EmptyDir volume "s" exceeds the limit "2Mi". '


# --- requests -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ("{", "error parsing STDIN"),
        ("kind: Pod\napiVersion: v1\n\tmetadata: {}", "error parsing STDIN"),
        ("kind: Widget\napiVersion: v1\nmetadata: {name: x}", 'no matches for kind "Widget" in version "v1"'),
        (
            "kind: Service\napiVersion: v1\nmetadata: {name: x}\nspec: {prots: []}",
            'strict decoding error: unknown field "spec.prots"',
        ),
        (
            "kind: Pod\napiVersion: v1\nmetadata: {name: x}\nspec: {containers: [{name: c, image: i, ports: 80}]}",
            "cannot unmarshal number into Go struct field Container.spec.containers.ports of type []v1.ContainerPort",
        ),
        (
            "kind: Pod\napiVersion: v1\nmetadata: {name: Bad_Name}\nspec: {containers: [{name: c, image: i}]}",
            'metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain must consist of',
        ),
        (
            "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: x}\nspec: {selector: {matchLabels: {a: b}}, "
            "template: {metadata: {labels: {a: c}}, spec: {containers: [{name: c, image: i}]}}}",
            "`selector` does not match template `labels`",
        ),
        (
            "kind: ConfigMap\napiVersion: v1\nmetadata: {name: x}\ndata: {a: \"" + "x" * 1_100_000 + '"}',
            "Too long: may not be more than 1048576 bytes",
        ),
    ],
    ids=["json", "tab", "kind", "field", "type", "name", "selector", "size"],
)  # fmt: skip
def test_a_manifest_with_a_mistake(lab: Lab, manifest: str, words: str) -> None:
    assert words in refusal(lab, "create", "-f", "-", stdin=manifest)
    there = lab.kubectl("get", "pods,services,deployments,configmaps", "-o", "name").split()
    assert not [name for name in there if name.endswith("/x")]


def test_what_may_not_change(lab: Lab) -> None:
    lab.run("fixed")
    said = refusal(lab, "patch", "pod", "fixed", "-p", '{"spec":{"terminationGracePeriodSeconds":9,"hostNetwork":true}}')
    assert "Forbidden: pod updates may not change fields other than" in said


@pytest.mark.parametrize("token", ["nonsense", "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZG1pbiJ9.c2lnbmF0dXJl"])
def test_a_forged_token(lab: Lab, token: str) -> None:
    server, authority = f"https://127.0.0.1:{lab.cluster.port}", lab.cluster.home / "pki/ca.crt"
    said = refusal(lab, "--kubeconfig=/dev/null", f"--server={server}", f"--certificate-authority={authority}",
                   f"--token={token}", "get", "pods")  # fmt: skip
    assert "You must be logged in to the server" in said
