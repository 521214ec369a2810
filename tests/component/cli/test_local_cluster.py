"""A whole local cluster by the command line: up, the demo, power and cable, faults at the wrong moment, and no trace.

Each test has a home of its own below /tmp (socket paths are short there) and takes its cluster down whatever happens.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.component.cli import snapshot

ROOT = Path(__file__).resolve().parents[3]
DEMO = ROOT / "deploy" / "demo"

pytestmark = [pytest.mark.root, pytest.mark.containerd, pytest.mark.timeout(180)]


class Machine:
    def __init__(self, name: str, home: Path) -> None:
        self.name, self.home = name, home

    def navarch(self, *arguments: str, check: bool = True, timeout: float = 90) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=timeout, check=False)
        if check:
            assert result.returncode == 0, f"{arguments}: {result.stdout}{result.stderr}{self.logs()}"
        return result

    def command(self, *arguments: str) -> list[str]:
        # Flags of the cluster go after the words of the command and before what follows `--`.
        return [sys.executable, "-m", "cli.main", *arguments, "--name", self.name, "--home", str(self.home)]

    def kubectl(self, *arguments: str) -> str:
        """Objects by our own verbs, with the cluster's kubeconfig."""
        command = [sys.executable, "-m", "cli.main", *arguments, "--kubeconfig", str(self.kubeconfig)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    @property
    def kubeconfig(self) -> Path:
        return self.home / "kubeconfig" / "admin.kubeconfig"

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.navarch("status", "-o", "json", check=False).stdout)
        return found

    def pid(self, component: str) -> int:
        return next(int(c["pid"]) for c in self.status()["components"] if c["name"] == component)

    def logs(self) -> str:
        text = ""
        for path in sorted(self.home.glob("log/*.log")) + sorted(self.home.glob("nodes/*/log/*.log")):
            text += f"\n--- {path.name}\n" + path.read_text(errors="replace")[-2000:]
        return text


@pytest.fixture
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    name = f"clit{os.getpid() % 100000}"
    folder = Path(tempfile.mkdtemp(prefix="nv-cli-"))
    made = Machine(name, folder / "home")
    yield made
    made.navarch("down", check=False)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def demo_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "hello.tar"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, str(DEMO / "image.py"), str(path)], check=True, env=environment)
    return path


def wait_for(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_up_delivers_the_demo_and_down_leaves_nothing(machine: Machine, demo_image: Path) -> None:
    before = snapshot.take(machine.name, machine.home)
    up = machine.navarch("up", "--image", str(demo_image), "-f", str(DEMO / "hello.yaml"))
    url = next(line for line in up.stdout.splitlines() if line.startswith("http://127.0.0.1:"))
    with urllib.request.urlopen(url, timeout=5) as answer:
        assert b"Hello from pod hello-" in answer.read()
    assert up.stdout.count("\n  ") == 3, "three suggested next commands"
    assert machine.status()["problems"] == []
    assert "navarch.local/hello:1" in machine.navarch("image", "list").stdout
    assert machine.navarch("exec", check=False).returncode == 2

    pids = {c["name"]: c["pid"] for c in machine.status()["components"]}
    machine.navarch("up")
    assert {c["name"]: c["pid"] for c in machine.status()["components"]} == pids, "a second up restarts nothing"

    shared = snapshot.shared_files(machine.home)
    assert len(shared) >= 6, "two sandboxes: a shim's socket and two CNI results each"
    machine.navarch("down")
    assert str(snapshot.take(machine.name, machine.home)) == str(before)
    assert [path for path in shared if path.exists()] == []


#: Ages move between two calls.
AGES = re.compile(r"\b(\d+[smhd])+\b")


def test_our_verbs_print_byte_for_byte_what_kubectl_prints(machine: Machine, demo_image: Path) -> None:
    kubectl = ROOT / ".venv" / "bin" / "kubectl"
    assert kubectl.exists(), "no stock kubectl: run `make setup`"
    machine.navarch("up", "--image", str(demo_image), "-f", str(DEMO / "hello.yaml"))
    pod = machine.kubectl("get", "pods", "-l", "app=hello", "-o", "jsonpath={.items[0].metadata.name}")
    questions = [
        ["describe", "pod", pod], ["describe", "deployment", "hello"], ["describe", "replicasets"],
        ["describe", "service", "hello"], ["describe", "node", "node1"], ["describe", "configmap", "kube-root-ca.crt"],
        ["describe", "namespace", "default"], ["describe", "lease", "node1", "-n", "kube-node-lease"],
        ["get", "pods", "-o", "wide"], ["get", "all", "-A"], ["get", "deploy/hello", "svc/hello"],
        ["get", "deploy", "hello", "-o", "json"], ["get", "service", "hello", "-o", "yaml"],
        ["get", "pods", "-o", "custom-columns=NAME:.metadata.name,IMAGE:.spec.containers[*].image"],
        ["get", "nodes", "--show-labels"], ["rollout", "history", "deployment/hello"],
        ["rollout", "status", "deployment/hello"], ["get", "events", "--sort-by", ".metadata.name", "-o", "name"],
    ]  # fmt: skip
    different = {}
    for question in questions:
        theirs = subprocess.run(
            [kubectl, "--kubeconfig", str(machine.kubeconfig), *question], capture_output=True, text=True, check=True
        ).stdout
        ours = machine.kubectl(*question)
        if AGES.sub("<age>", ours) != AGES.sub("<age>", theirs):
            lines = zip(ours.splitlines(), theirs.splitlines(), strict=False)
            different[" ".join(question)] = next((pair for pair in lines if pair[0] != pair[1]), ("length", "differs"))
    assert not different, "\n".join(f"{question}: ours {a!r}, theirs {b!r}" for question, (a, b) in different.items())


def test_components_that_are_killed_come_back_and_containers_do_not_notice(machine: Machine, demo_image: Path) -> None:
    machine.navarch("up", "--image", str(demo_image), "-f", str(DEMO / "hello.yaml"))

    def containers() -> list[Any]:
        pods = json.loads(machine.kubectl("get", "pods", "-l", "app=hello", "-o", "json"))["items"]
        return sorted((p["metadata"]["name"], p["status"]["containerStatuses"][0]["containerID"]) for p in pods)

    before = containers()
    for component in ("agent@node1", "apiserver", "controllers", "scheduler", "gateway"):
        old = machine.pid(component)
        os.kill(old, signal.SIGKILL)
        wait_for(lambda component=component, old=old: machine.pid(component) not in (None, old))
    machine.navarch("up")
    assert containers() == before

    # The supervisor itself: its children go on without it, and the next `up` finds them again.
    pids = {c["name"]: c["pid"] for c in machine.status()["components"]}
    supervisor = subprocess.run(["pgrep", "-f", f"cli.local.supervise {machine.name} "], capture_output=True, text=True,
                                check=True)  # fmt: skip
    os.kill(int(supervisor.stdout.split()[0]), signal.SIGKILL)
    machine.navarch("up")
    assert {c["name"]: c["pid"] for c in machine.status()["components"]} == pids
    assert containers() == before


def test_a_node_loses_power_and_comes_back(machine: Machine) -> None:
    machine.navarch("up", "--nodes", "2")
    stopped = machine.navarch("nodes", "stop", "node2").stdout
    assert stopped.startswith("node2 is off")
    status = machine.status()
    assert any("node2 is not Ready: it is switched off" in problem for problem in status["problems"])
    assert not any(c["name"].endswith("@node2") for c in status["components"])
    machine.navarch("nodes", "start", "node2")
    assert machine.status()["problems"] == []

    machine.navarch("nodes", "cut", "node2")
    assert machine.navarch("nodes", "list").stdout.splitlines()[2].split()[:4] == ["node2", "10.200.0.12", "on", "cut"]
    machine.navarch("nodes", "heal", "node2")

    machine.navarch("nodes", "remove", "node2")
    nodes = json.loads(machine.kubectl("get", "nodes", "-o", "json"))["items"]
    assert [node["metadata"]["name"] for node in nodes] == ["node1"]
    assert not (machine.home / "nodes" / "node2").exists()


def test_a_reboot_of_the_whole_machine(machine: Machine) -> None:
    """Everything that a reboot ends is ended by hand; what it leaves on disk stays, stale as it is."""
    machine.navarch("up", "--nodes", "1")
    uid = json.loads(machine.kubectl("get", "node", "node1", "-o", "json"))["metadata"]["uid"]
    pids = [c["pid"] for c in machine.status()["components"]]
    supervisor = subprocess.run(
        ["pgrep", "-f", f"cli.local.supervise {machine.name} "], capture_output=True, text=True, check=True
    )
    for pid in [int(supervisor.stdout.split()[0]), *pids]:
        os.kill(pid, signal.SIGKILL)
    for name in (f"nv-{machine.name}-node1", f"nv-{machine.name}"):
        subprocess.run(["umount", "--lazy", f"/run/netns/{name}"], check=True)
        Path(f"/run/netns/{name}").unlink()
    (machine.home / "run" / "boot").write_text("the boot before")
    stale = machine.home / "nodes" / "node1" / "containerd" / "state" / "of-the-boot-before"
    stale.touch()

    machine.navarch("up")
    assert machine.status()["problems"] == []
    assert json.loads(machine.kubectl("get", "node", "node1", "-o", "json"))["metadata"]["uid"] == uid
    assert not stale.exists()


def test_down_after_a_crash_of_everything_that_keeps_records(machine: Machine) -> None:
    before = snapshot.take(machine.name, machine.home)
    machine.navarch("up", "--nodes", "1")
    supervisor = subprocess.run(
        ["pgrep", "-f", f"cli.local.supervise {machine.name} "], capture_output=True, text=True, check=True
    )
    os.kill(int(supervisor.stdout.split()[0]), signal.SIGKILL)
    os.kill(machine_pid(machine, "containerd --config"), signal.SIGKILL)
    machine.navarch("down")
    assert str(snapshot.take(machine.name, machine.home)) == str(before)
    assert machine.navarch("down").stderr == f"There is no cluster {machine.name}.\n"


def machine_pid(machine: Machine, words: str) -> int:
    """Of the process whose command line has the words and the cluster's home."""
    found = subprocess.run(["pgrep", "-f", f"{words}.*{machine.home}"], capture_output=True, text=True, check=True)
    return int(found.stdout.split()[0])


def test_an_archive_that_is_none_is_refused_in_one_line(machine: Machine, tmp_path: Path) -> None:
    machine.navarch("up", "--nodes", "1")
    (tmp_path / "text.tar").write_text("not a tar")
    told = machine.navarch("image", "load", str(tmp_path / "text.tar"), check=False)
    assert told.returncode == 1
    assert "text.tar: not a tar archive" in told.stderr
    subprocess.run(["tar", "cf", tmp_path / "empty.tar", "-C", tmp_path, "text.tar"], check=True)
    told = machine.navarch("image", "load", str(tmp_path / "empty.tar"), check=False)
    assert "neither an OCI layout (index.json) nor a docker archive (manifest.json)" in told.stderr
    assert len(told.stderr.splitlines()) == 1


def test_data_that_is_kept_comes_back(machine: Machine) -> None:
    machine.navarch("up", "--nodes", "1")
    uid = json.loads(machine.kubectl("get", "node", "node1", "-o", "json"))["metadata"]["uid"]
    machine.navarch("down", "--keep-data")
    assert snapshot.take(machine.name, machine.home).processes == frozenset()
    machine.navarch("up")
    assert json.loads(machine.kubectl("get", "node", "node1", "-o", "json"))["metadata"]["uid"] == uid


@pytest.mark.parametrize(
    ("number", "after_seconds"),
    [*((signal.SIGINT, seconds) for seconds in (0.05, 0.2, 0.4, 1.0, 1.5)), (signal.SIGTERM, 0.4)],
)
def test_an_interrupted_first_up_takes_everything_back(
    machine: Machine, number: signal.Signals, after_seconds: float
) -> None:
    before = snapshot.take(machine.name, machine.home)
    process = subprocess.Popen(
        machine.command("up"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # Whoever runs the tests in the background has made them, and their children, deaf to Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    wait_for(lambda: machine.home.exists() or process.poll() is not None)
    time.sleep(after_seconds)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.fail("the machine was quicker than the interruption: shorten the delays")
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert str(snapshot.take(machine.name, machine.home)) == str(before)


def test_a_second_up_during_the_first_is_told_so(machine: Machine) -> None:
    first = subprocess.Popen(machine.command("up", "-q"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: (machine.home / "run" / "cluster.lock").exists())
    second = machine.navarch("up", check=False)
    assert second.returncode == 1
    assert len(second.stderr.splitlines()) == 1
    assert f"cluster {machine.name} is busy: navarch up (process {first.pid}) is running" in second.stderr
    _, said = first.communicate(timeout=60)
    assert first.returncode == 0, said


def test_a_port_in_use_is_said_in_one_line_and_nothing_is_made(machine: Machine) -> None:
    before = snapshot.take(machine.name, machine.home)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = machine.navarch("up", "--port", str(port), check=False)
    assert result.returncode == 1
    assert result.stderr == (
        f"navarch: port {port} on 127.0.0.1 is in use: end what listens there, or choose another with --port\n"
    )
    assert str(snapshot.take(machine.name, machine.home)) == str(before)


def test_a_machine_joins_by_hand_with_a_token(machine: Machine) -> None:
    machine.navarch("up", "--nodes", "1")
    token = machine.kubectl("token", "create", "--server", "https://10.200.0.1:6443").strip()
    by_hand = Machine(machine.name, machine.home.parent / "hand")
    netns = Path(f"/run/netns/nv-{machine.name}-hand")
    bridge = f"/run/netns/nv-{machine.name}"
    netns.touch()
    subprocess.run(["unshare", f"--net={netns}", "true"], check=True)
    process = None
    try:
        _batch(bridge, f"link add hand type veth peer name eth0 netns {netns.name}", "link set hand master nv0 up")
        _batch(str(netns), "link set lo up", "address add 10.200.0.99/24 dev eth0", "link set eth0 up",
               "route add default via 10.200.0.1")  # fmt: skip
        command = [
            "nsenter", f"--net={netns}", sys.executable, "-m", "cli.main", "agent", "--server",
            "https://10.200.0.1:6443", "--token", token, "--node-name", "hand", "--home", str(by_hand.home),
        ]  # fmt: skip
        forged = [*command[:-5], "abcdef.0123456789abcdef", *command[-4:]]
        wrong = subprocess.run(forged, capture_output=True, text=True, timeout=30, check=False)
        assert wrong.returncode == 1
        assert "does not know token abcdef" in wrong.stderr

        started = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def ready() -> bool:
            nodes = json.loads(machine.kubectl("get", "nodes", "-o", "json"))["items"]
            hand = [node["status"] for node in nodes if node["metadata"]["name"] == "hand"]
            conditions = [condition for status in hand for condition in status.get("conditions", ())]
            return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

        wait_for(ready)
        print(f"joined in {time.monotonic() - started:.1f} s")
        process.terminate()
        process.wait(20)
    finally:
        if process is not None and process.poll() is None:
            process.kill()
        subprocess.run([sys.executable, "-c", _CLEAR, str(by_hand.home), str(netns)], check=True, timeout=60)


_CLEAR = """
import sys
from pathlib import Path
from cli.local.layout import NodeLayout
from cli.local.machines import remove_namespace
from cli.local.power import power_off, remove_traces
node = NodeLayout("agent", "hand", 0, Path(sys.argv[1]))
power_off(node)
remove_traces(node)
remove_namespace(Path(sys.argv[2]))
"""


def _batch(netns: str, *lines: str) -> None:
    subprocess.run(["nsenter", f"--net={netns}", "ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)
