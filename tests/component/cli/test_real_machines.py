"""`navarch server` and `navarch agent` as on real machines: two namespaces and a cable, a control plane and a node.

Nothing of the local cluster's machinery is used: what runs is started by hand, as it would be there.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.root, pytest.mark.containerd, pytest.mark.timeout(120)]


class Hall:
    """Two machines and a cable."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names = {name: f"nv-clihall{os.getpid() % 10000}-{name}" for name in ("server", "node")}
        self.started: list[subprocess.Popen[bytes]] = []

    def build(self) -> None:
        for name in self.names.values():
            Path("/run/netns").mkdir(exist_ok=True)
            Path(f"/run/netns/{name}").touch()
            subprocess.run(["unshare", f"--net=/run/netns/{name}", "true"], check=True)
        self.run(
            "server", "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", self.names["node"]
        )
        for number, machine in enumerate(self.names, 1):
            self.run(machine, "ip", "link", "set", "lo", "up")
            self.run(machine, "ip", "address", "add", f"10.201.0.{number}/24", "dev", "eth0")
            self.run(machine, "ip", "link", "set", "eth0", "up")
        self.run("node", "ip", "route", "add", "default", "via", "10.201.0.1")

    def command(self, machine: str, *words: str) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.names[machine]}", *words]

    def run(self, machine: str, *words: str) -> str:
        return subprocess.run(
            self.command(machine, *words), check=True, capture_output=True, text=True, timeout=60
        ).stdout

    def navarch(self, machine: str, *words: str) -> str:
        return self.run(machine, sys.executable, "-m", "cli.main", *words)

    def start(self, machine: str, *words: str) -> subprocess.Popen[bytes]:
        command = self.command(machine, sys.executable, "-m", "cli.main", *words)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.started.append(process)
        return process

    @property
    def kubeconfig(self) -> str:
        return str(self.folder / "server" / "kubeconfig" / "admin.kubeconfig")

    def get(self, *words: str) -> Any:
        return json.loads(self.navarch("server", "get", *words, "-o", "json", "--kubeconfig", self.kubeconfig))

    def tear_down(self) -> None:
        for process in self.started:
            process.terminate()
        for process in self.started:
            process.wait(30)
        self.navarch("node", "agent", "--uninstall", "--node-name", "m1", "--home", str(self.folder / "agent"))
        for name in self.names.values():
            subprocess.run(["umount", "--lazy", f"/run/netns/{name}"], check=False)
            Path(f"/run/netns/{name}").unlink()
        shutil.rmtree(self.folder)


@pytest.fixture
def hall() -> Iterator[Hall]:
    made = Hall(Path(tempfile.mkdtemp(prefix="nv-cli-")))
    made.build()
    yield made
    made.tear_down()


def wait_for(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := condition():
                return found
        except subprocess.CalledProcessError:
            pass
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.1)


def is_ready(node: dict[str, Any]) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", ()))


def test_a_server_and_a_node_that_joined_by_hand(hall: Hall) -> None:
    hall.start("server", "server", "--home", str(hall.folder / "server"), "--bind", "10.201.0.1")
    wait_for(lambda: hall.get("clusterrolebinding", "navarch:node-network"))
    told = hall.navarch("server", "token", "create", "--print-join-command", "--kubeconfig", hall.kubeconfig).split()
    assert told[:4] == ["navarch", "agent", "--server", "https://10.201.0.1:6443"], "where machines reach it"
    token = told[-1]
    joining = [*told[1:], "--node-name", "m1", "--home", str(hall.folder / "agent")]
    agent = hall.start("node", *joining)
    node = wait_for(lambda: next((n for n in hall.get("nodes")["items"] if is_ready(n)), None))
    assert node["metadata"]["name"] == "m1"
    assert {"type": "InternalIP", "address": "10.201.0.2"} in node["status"]["addresses"]
    requests = hall.get("csr")["items"]
    assert any(r["spec"]["username"] == f"system:bootstrap:{token[:6]}" for r in requests), "it asked with its token"

    # It has credentials of its own now: it comes back without a token, and with the token gone.
    hall.navarch("server", "token", "delete", token, "--kubeconfig", hall.kubeconfig)
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(20) == 0
    renewed = node["status"]["conditions"]
    hall.start("node", "agent", "--node-name", "m1", "--home", str(hall.folder / "agent"))

    def heard_again() -> bool:
        now = hall.get("node", "m1")
        return is_ready(now) and now["status"]["conditions"] != renewed

    wait_for(heard_again)


def test_a_wrong_server_and_a_missing_token_are_said_in_one_line(hall: Hall) -> None:
    home = str(hall.folder / "agent")
    nothing = [*hall.command("node", sys.executable, "-m", "cli.main"), "agent", "--node-name", "m1", "--home", home]
    told = subprocess.run(nothing, capture_output=True, text=True, timeout=30, check=False)
    assert told.returncode == 2
    assert "this machine has not joined yet: give --server URL and --token TOKEN" in told.stderr
    wrong = [*nothing, "--server", "https://10.201.0.1:6443", "--token", "abcdef.0123456789abcdef"]
    told = subprocess.run(wrong, capture_output=True, text=True, timeout=30, check=False)
    assert told.returncode == 1
    assert told.stderr.startswith("navarch: https://10.201.0.1:6443 does not answer: ")
    assert len(told.stderr.splitlines()) == 1
