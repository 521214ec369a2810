"""A whole cluster for a test: made and ended by `navarch`, used through stock kubectl, looked at from below.

`kubectl` and `get` see what a user sees. `traces` and `process` look where a user does not: into the namespaces, the
runtime and the process table. Every wait has a deadline and says what it saw last.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tests.support.processes import ROOT, free_port

Object = dict[str, Any]
T = TypeVar("T")

KUBECTL = ROOT / ".venv/bin/kubectl"
HELM = ROOT / ".venv/bin/helm"
MANIFESTS = Path(__file__).parent / "manifests"
POLL_SECONDS = 0.1


def wait_until(what: str, look: Callable[[], T], seconds: float = 30) -> T:
    """The first true answer of ``look``; an AssertionError counts as "not yet" and its text is shown at the end."""
    deadline = time.monotonic() + seconds
    last: object = None
    while True:
        try:
            found = look()
            if found:
                return found
            last = found
        except AssertionError as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s; last seen: {last}")
        time.sleep(POLL_SECONDS)


class CommandFailed(AssertionError):
    def __init__(self, argv: list[str], done: subprocess.CompletedProcess[str]) -> None:
        super().__init__(f"`{' '.join(argv)}` ended with {done.returncode}\n{done.stdout}{done.stderr}")
        self.status, self.stdout, self.stderr = done.returncode, done.stdout, done.stderr


class LocalCluster:
    def __init__(self, name: str, home: Path, store: str = "sqlite") -> None:
        self.name, self.home, self.store = name, home, store
        self.port = free_port()
        self.kubeconfig = home / "kubeconfig/admin.kubeconfig"
        self.environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(home.parent / "user")}

    # --- commands -----------------------------------------------------------------------------------------------

    def run(self, *argv: str, stdin: str | None = None, timeout: float = 60) -> str:
        command = [str(word) for word in argv]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=timeout, env=self.environment, check=False
        )
        if done.returncode:
            raise CommandFailed(command, done)
        return done.stdout

    def navarch(self, *argv: str, timeout: float = 120) -> str:
        verb = argv[:2] if argv[0] in ("nodes", "image", "token") else argv[:1]
        located = ("--name", self.name, "--home", str(self.home))
        return self.run(sys.executable, "-m", "cli.main", *verb, *located, *argv[len(verb) :], timeout=timeout)

    def kubectl(self, *argv: str, stdin: str | None = None, timeout: float = 60) -> str:
        return self.run(str(KUBECTL), *argv, stdin=stdin, timeout=timeout)

    def start_kubectl(self, *argv: str) -> subprocess.Popen[str]:
        """For what goes on until it is ended: watches, port-forwards, `logs -f`. The caller ends it."""
        return subprocess.Popen(
            [str(KUBECTL), *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            bufsize=1, env=self.environment,
        )  # fmt: skip

    def helm(self, *argv: str) -> str:
        return self.run(str(HELM), *argv)

    def up(self, *, nodes: int, flags: tuple[str, ...] = ()) -> None:
        words = ["--nodes", str(nodes), "--store", self.store, "--port", str(self.port)]
        self.navarch("up", *words, *(word for flag in flags for word in ("--flag", flag)))

    def down(self) -> None:
        self.navarch("down")

    # --- the API ------------------------------------------------------------------------------------------------

    def get(self, *argv: str) -> Object:
        found: Object = json.loads(self.kubectl("get", *argv, "-o", "json"))
        return found

    def items(self, *argv: str) -> list[Object]:
        found: list[Object] = self.get(*argv)["items"]
        return found

    def pods(self, namespace: str, selector: str = "") -> list[Object]:
        return self.items("pods", "-n", namespace, "-l", selector)

    def is_ready(self, node: str) -> bool:
        return condition(self.get("node", node), "Ready") == "True"

    # --- below the API ------------------------------------------------------------------------------------------

    def components(self) -> dict[str, Object]:
        """Name to its row of `navarch status`, which ends with 1 while something is unhealthy."""
        try:
            text = self.navarch("status", "-o", "json")
        except CommandFailed as failed:
            text = failed.stdout
        return {row["name"]: row for row in json.loads(text)["components"]}

    def kill(self, component: str) -> int:
        pid = int(self.components()[component]["pid"])
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_restarted(self, component: str, old_pid: int, seconds: float = 20) -> None:
        wait_until(
            f"{component} runs again",
            lambda: self.components()[component]["pid"] not in (None, old_pid),
            seconds,
        )

    def node_directory(self, node: str) -> Path:
        return self.home / "nodes" / node

    def ctr(self, node: str, *argv: str) -> str:
        socket = self.node_directory(node) / "containerd/containerd.sock"
        return self.run("ctr", "--address", str(socket), "--namespace", "k8s.io", *argv)

    def container_pid(self, node: str, container_id: str) -> int:
        for line in self.ctr(node, "tasks", "ls").splitlines()[1:]:
            if line.split()[0] == container_id.removeprefix("containerd://"):
                return int(line.split()[1])
        raise AssertionError(f"{node} runs no task {container_id}")

    def in_node(self, node: str, *argv: str) -> str:
        return self.run("nsenter", f"--net=/run/netns/nv-{self.name}-{node}", *argv)

    def traces(self, node: str) -> list[str]:
        """What pods have left on a node, in words. Empty on a node that never ran one."""
        found = [f"container {line.split()[0][:12]}" for line in self.ctr(node, "containers", "ls").splitlines()[1:]]
        found += [f"task {line.split()[0][:12]}" for line in self.ctr(node, "tasks", "ls").splitlines()[1:]]
        links = self.in_node(node, "ip", "-o", "link").splitlines()
        found += [f"link {line.split()[1]}" for line in links if line.split()[1].startswith("veth")]
        directory = self.node_directory(node)
        found += [f"mount {point}" for point in mounts_below(directory)]
        for folder in ("log/pods", "log/containers", "kubelet/pods", "cni/data/navarch"):
            path = directory / folder
            entries = sorted(path.iterdir()) if path.is_dir() else []
            found += [f"{folder}/{entry.name}" for entry in entries if not entry.name.startswith(("last_", "lock"))]
        return found

    def remains(self) -> list[str]:
        """What is left of the cluster on the machine. Empty after `down`."""
        found = [str(self.home)] if self.home.exists() else []
        found += [f"mount {point}" for point in mounts_below(self.home)]
        found += [f"namespace {path.name}" for path in Path("/run/netns").glob(f"nv-{self.name}*")]
        found += [f"cgroup {path}" for path in Path("/sys/fs/cgroup").glob(f"*/navarch/{self.name}")]
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if f"{self.home}/" in command or command.rstrip().endswith(str(self.home)):
                found.append(f"process {path.parent.name}: {command[:120]}")
        return found

    # --- when something failed ----------------------------------------------------------------------------------

    def explain(self) -> str:
        """What a person would look at first."""
        parts = []
        for argv in (
            ("get", "nodes,pods", "-A", "-o", "wide"),
            ("get", "events", "-A", "--sort-by=.lastTimestamp"),
        ):
            try:
                parts.append(tail(self.kubectl(*argv, timeout=15), 40))
            except (AssertionError, subprocess.TimeoutExpired) as error:
                parts.append(str(error))
        for log in sorted([*self.home.glob("log/*.log"), *self.home.glob("nodes/*/log/agent.log")]):
            text = tail(log.read_text(errors="replace"), 12)
            parts.append(f"--- {log.relative_to(self.home)}\n{text}")
        return "\n".join(parts)


def tail(text: str, lines: int) -> str:
    return "\n".join(text.splitlines()[-lines:])


def mounts_below(directory: Path) -> list[str]:
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in points if point.startswith(f"{directory}/")]


def condition(obj: Object, kind: str) -> str:
    found = [c["status"] for c in obj.get("status", {}).get("conditions", ()) if c["type"] == kind]
    return found[0] if found else ""


def is_running_and_ready(pod: Object) -> bool:
    return condition(pod, "Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def container_identities(pods: list[Object]) -> dict[str, tuple[str, str, int]]:
    """Pod name to the id, the start and the restarts of its first container: equal means nobody touched it."""
    found = {}
    for pod in pods:
        status = pod["status"]["containerStatuses"][0]
        started = status["state"]["running"]["startedAt"]
        found[pod["metadata"]["name"]] = (status["containerID"], started, status["restartCount"])
    return found
