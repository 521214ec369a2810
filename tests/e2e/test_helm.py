"""Stock Helm on a chart that is written here: install, upgrade, rollback, uninstall, and what a failure leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.cluster import CommandFailed, LocalCluster, is_running_and_ready, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.root, pytest.mark.containerd, pytest.mark.timeout(180)]

CHART = {
    "Chart.yaml": "apiVersion: v2\nname: site\nversion: 0.1.0\nappVersion: '1'\n",
    "values.yaml": "replicas: 1\nversion: 1\ngreeting: hello\n",
    "templates/configmap.yaml": """\
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-page}
data: {page.txt: {{ .Values.greeting | quote }}}
""",
    "templates/deployment.yaml": """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  labels: {app.kubernetes.io/managed-by: {{ .Release.Service }}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: localhost/web:{{ .Values.version }}
        imagePullPolicy: Never
        readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
        volumeMounts: [{name: page, mountPath: /data}]
      volumes: [{name: page, configMap: {name: {{ .Release.Name }}-page}}]
""",
    "templates/service.yaml": """\
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}}
spec:
  selector: {app: {{ .Release.Name }}}
  ports: [{port: 80, targetPort: 8080}]
""",
    "templates/hook.yaml": """\
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-before
  annotations: {helm.sh/hook: "pre-install,pre-upgrade", helm.sh/hook-delete-policy: "before-hook-creation"}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: hook, image: "localhost/busybox:1", command: [sh, -c, "echo before"]}]
""",
}


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    for name, text in CHART.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder


class Release:
    def __init__(self, cluster: LocalCluster, namespace: str, chart: Path) -> None:
        self.cluster, self.namespace, self.chart = cluster, namespace, str(chart)

    def helm(self, *argv: str) -> str:
        return self.cluster.helm(*argv, "--namespace", self.namespace)

    def state(self) -> tuple[int, str]:
        found = json.loads(self.helm("status", "site", "-o", "json"))
        return found["version"], found["info"]["status"]

    def web_pods(self) -> list[dict[str, object]]:
        return [pod for pod in self.cluster.pods(self.namespace, "app=site") if is_running_and_ready(pod)]

    def page(self) -> str:
        service = f"/api/v1/namespaces/{self.namespace}/services/site:80"
        return self.cluster.kubectl("get", "--raw", f"{service}/proxy/data/page.txt")


@pytest.fixture(scope="module")
def release(cluster: LocalCluster, namespace: str, chart: Path) -> Release:
    return Release(cluster, namespace, chart)


def test_install_waits_until_the_workload_is_ready(release: Release) -> None:
    release.helm("install", "site", release.chart, "--wait", "--timeout", "60s")
    assert release.state() == (1, "deployed")
    assert len(release.web_pods()) == 1
    assert release.page() == "hello"
    assert "site-before" in release.cluster.kubectl("-n", release.namespace, "get", "jobs")


def test_upgrade_changes_what_runs(release: Release) -> None:
    release.helm("upgrade", "site", release.chart, "--wait", "--timeout", "60s",
                 "--set", "replicas=2,version=2,greeting=bye")  # fmt: skip
    assert release.state() == (2, "deployed")
    wait_until("two new pods", lambda: len(release.web_pods()) == 2)
    images = {pod["spec"]["containers"][0]["image"] for pod in release.web_pods()}  # type: ignore[index]
    assert images == {"localhost/web:2"}
    wait_until("the new page", lambda: release.page() == "bye")


def test_a_failed_upgrade_is_told_and_rolled_back(release: Release) -> None:
    with pytest.raises(CommandFailed):
        release.helm("upgrade", "site", release.chart, "--wait", "--timeout", "4s", "--set", "version=999")
    assert release.state() == (3, "failed")
    release.helm("rollback", "site", "1", "--wait", "--timeout", "60s")
    assert release.state() == (4, "deployed")
    wait_until("one pod of the first revision", lambda: len(release.web_pods()) == 1)
    wait_until("the first page", lambda: release.page() == "hello")
    history = json.loads(release.helm("history", "site", "-o", "json"))
    assert [row["status"] for row in history] == ["superseded", "superseded", "failed", "deployed"]


def test_uninstall_takes_everything_away(release: Release) -> None:
    release.helm("uninstall", "site", "--wait", "--timeout", "60s")
    assert json.loads(release.helm("list", "-o", "json")) == []
    kinds = "deployments,services,replicasets,pods"
    left = release.cluster.kubectl("-n", release.namespace, "get", kinds, "-o", "name")
    assert all("site-before" in line for line in left.splitlines()), left  # Helm leaves what its hooks made
