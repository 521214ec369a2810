"""The other workloads, each doing on three real machines what it is for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.cluster import LocalCluster, is_running_and_ready, wait_until
from tests.e2e.conftest import NODES

pytestmark = [pytest.mark.e2e, pytest.mark.root, pytest.mark.containerd, pytest.mark.timeout(120)]

Object = dict[str, Any]


def template(name: str, *command: str, **spec: Any) -> Object:
    container: Object = {"name": "main", "image": "localhost/busybox:1", "command": list(command) or ["sleep", "3600"]}
    return {
        "metadata": {"labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container], **spec},
    }


class Yard:
    def __init__(self, cluster: LocalCluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace

    def kubectl(self, *argv: str, **options: Any) -> str:
        return self.cluster.kubectl("-n", self.namespace, *argv, **options)

    def apply(self, api_version: str, kind: str, name: str, spec: Object) -> None:
        obj = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(obj))

    def get(self, kind: str, name: str) -> Object:
        return self.cluster.get("-n", self.namespace, kind, name)

    def pods(self, app: str) -> list[Object]:
        return self.cluster.pods(self.namespace, f"app={app}")

    def ready(self, app: str) -> list[Object]:
        return [pod for pod in self.pods(app) if is_running_and_ready(pod)]


@pytest.fixture(scope="module")
def yard(cluster: LocalCluster, namespace: str) -> Yard:
    return Yard(cluster, namespace)


def test_a_daemon_set_runs_once_on_every_node_and_is_updated(yard: Yard) -> None:
    spec = {"selector": {"matchLabels": {"app": "daemon"}}, "template": template("daemon")}
    yard.apply("apps/v1", "DaemonSet", "daemon", spec)
    yard.kubectl("rollout", "status", "daemonset/daemon", "--timeout=40s")
    assert sorted(pod["spec"]["nodeName"] for pod in yard.ready("daemon")) == sorted(NODES)
    before = {pod["metadata"]["uid"] for pod in yard.pods("daemon")}
    yard.apply("apps/v1", "DaemonSet", "daemon", spec | {"template": template("daemon", "sleep", "3601")})
    yard.kubectl("rollout", "status", "daemonset/daemon", "--timeout=60s")
    after = wait_until("three new pods", lambda: yard.ready("daemon") if len(yard.pods("daemon")) == 3 else [])
    assert not before & {pod["metadata"]["uid"] for pod in after}
    yard.kubectl("delete", "daemonset", "daemon")


def test_a_stateful_set_keeps_names_and_order(yard: Yard) -> None:
    yard.apply("v1", "Service", "peers", {"clusterIP": "None", "selector": {"app": "peer"}, "ports": [{"port": 1}]})
    spec = {"serviceName": "peers", "replicas": 3, "selector": {"matchLabels": {"app": "peer"}},
            "template": template("peer")}  # fmt: skip
    yard.apply("apps/v1", "StatefulSet", "peer", spec)
    yard.kubectl("rollout", "status", "statefulset/peer", "--timeout=60s")
    pods = yard.pods("peer")
    assert sorted(pod["metadata"]["name"] for pod in pods) == ["peer-0", "peer-1", "peer-2"]
    started = {pod["metadata"]["name"]: pod["metadata"]["creationTimestamp"] for pod in pods}
    assert started["peer-0"] <= started["peer-1"] <= started["peer-2"]
    first = yard.get("pod", "peer-0")["metadata"]["uid"]
    yard.kubectl("delete", "pod", "peer-0")
    wait_until("another peer-0", lambda: [p for p in yard.ready("peer") if p["metadata"]["name"] == "peer-0"
                                          and p["metadata"]["uid"] != first])  # fmt: skip
    looked_up = yard.kubectl("exec", "peer-1", "--", "nslookup", f"peer-0.peers.{yard.namespace}.svc.cluster.local")
    assert yard.get("pod", "peer-0")["status"]["podIP"] in looked_up
    yard.kubectl("scale", "statefulset/peer", "--replicas=1")
    wait_until("only the first is left", lambda: [p["metadata"]["name"] for p in yard.pods("peer")] == ["peer-0"])
    yard.kubectl("delete", "statefulset", "peer")


def test_a_job_runs_to_its_completions(yard: Yard) -> None:
    work = template("work", "sh", "-c", "echo index $JOB_COMPLETION_INDEX", restartPolicy="Never")
    yard.apply("batch/v1", "Job", "work", {"completions": 4, "parallelism": 2, "completionMode": "Indexed",
                                           "template": work})  # fmt: skip
    yard.kubectl("wait", "--for=condition=Complete", "job/work", "--timeout=60s", timeout=70)
    status = yard.get("job", "work")["status"]
    assert (status["succeeded"], status["completedIndexes"]) == (4, "0-3")
    said = yard.kubectl("logs", "-l", "app=work", "--tail=-1").splitlines()
    assert sorted(said) == [f"index {number}" for number in range(4)]


def test_a_job_that_fails_gives_up(yard: Yard) -> None:
    work = template("vain", "false", restartPolicy="Never")
    yard.apply("batch/v1", "Job", "vain", {"backoffLimit": 0, "template": work})
    yard.kubectl("wait", "--for=condition=Failed", "job/vain", "--timeout=40s")
    failed = next(c for c in yard.get("job", "vain")["status"]["conditions"] if c["type"] == "Failed")
    assert failed["reason"] == "BackoffLimitExceeded"
    assert failed["message"] == "Job has reached the specified backoff limit"


def test_a_finished_job_goes_after_its_time(yard: Yard) -> None:
    work = template("brief", "true", restartPolicy="Never")
    yard.apply("batch/v1", "Job", "brief", {"ttlSecondsAfterFinished": 1, "template": work})
    wait_until("it is gone with its pods", lambda: "brief" not in yard.kubectl("get", "jobs,pods", "-o", "name"))


def test_owners_take_their_pods_along_or_leave_them(yard: Yard) -> None:
    for name in ("taken", "left"):
        yard.apply("apps/v1", "ReplicaSet", name, {"replicas": 2, "selector": {"matchLabels": {"app": name}},
                                                   "template": template(name)})  # fmt: skip
        wait_until("two pods", lambda name=name: len(yard.ready(name)) == 2)  # type: ignore[misc]
    yard.kubectl("delete", "replicaset", "taken", "--cascade=foreground")
    assert not [pod for pod in yard.pods("taken") if "deletionTimestamp" not in pod["metadata"]]
    yard.kubectl("delete", "replicaset", "left", "--cascade=orphan")
    wait_until("no owner is left", lambda: all("ownerReferences" not in p["metadata"] for p in yard.pods("left")))
    assert len(yard.ready("left")) == 2


def test_a_more_important_pod_takes_the_place_of_others(yard: Yard) -> None:
    yard.cluster.kubectl("create", "priorityclass", "urgent", "--value=1000")
    try:
        big = {"resources": {"requests": {"cpu": "1200m"}}}
        spec = template("filler")["spec"]
        spec["containers"][0] |= big
        yard.apply("apps/v1", "ReplicaSet", "filler", {"replicas": 3, "selector": {"matchLabels": {"app": "filler"}},
                   "template": {"metadata": {"labels": {"app": "filler"}}, "spec": spec}})  # fmt: skip
        wait_until("every node is full", lambda: len(yard.ready("filler")) == 3)
        urgent = template("urgent", priorityClassName="urgent")["spec"]
        urgent["containers"][0] |= big
        yard.kubectl("create", "-f", "-", stdin=json.dumps(
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "urgent"}, "spec": urgent}))  # fmt: skip
        yard.kubectl("wait", "--for=condition=Ready", "pod/urgent", "--timeout=40s")
        wait_until("one filler waits", lambda: len(yard.ready("filler")) == 2)
        reasons = {e["reason"] for e in yard.cluster.items("-n", yard.namespace, "events")}
        assert "Preempted" in reasons
    finally:
        yard.kubectl("delete", "replicaset", "filler")
        yard.cluster.kubectl("delete", "priorityclass", "urgent")
