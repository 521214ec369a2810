"""Recorded behaviour of upstream's node agent: our agent on real containerd, with our server and controllers.

Everything runs inside one network namespace, so that probes reach pods and the agent reaches the server on loopback.
The agent has a node's own certificate: what it asks for is what a node may ask for.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from machinery.pki.certificates import Authority, KeyPair, issue
from machinery.pki.kubeconfig import kubeconfig, write_kubeconfig
from tests.component.kubelet.machine import NODE_ADDRESS, NodeMachine
from tests.golden.replaying import TRANSCRIPTS, judge, replay
from tests.support.processes import ADMIN_TOKEN, TOKENS, Process

TOPICS = sorted(path.name for path in (TRANSCRIPTS / "node").glob("*.jsonl"))
PORT = 21301
URL = f"https://127.0.0.1:{PORT}"
NODE = "node-1"

pytestmark = [pytest.mark.golden, pytest.mark.root, pytest.mark.containerd]


class NodeCluster:
    def __init__(self, directory: Path) -> None:
        self.directory, self.home = directory, directory / "home"
        self.machine = NodeMachine(directory)
        self.processes: list[Process] = []

    def start(self, name: str, *argv: str) -> Process:
        process = Process(name, [*self.machine.enter, sys.executable, "-m", *argv], self.directory)
        self.processes.append(process)
        return process

    def up(self) -> None:
        self.machine.start()
        tokens = self.directory / "tokens.csv"
        tokens.write_text(TOKENS)
        server = self.start(
            "apiserver",
            "apiserver",
            "--home",
            str(self.home),
            "--port",
            str(PORT),
            "--store",
            "memory",
            "--token-auth-file",
            str(tokens),
            "--endpoint-reconciler-type",
            "none",
            "--kubelet-preferred-address-types",
            "InternalIP",
        )
        self.wait(f"{URL}/readyz", server)
        pki = self.home / "pki"
        self.start(
            "controllers",
            "controllers",
            "--kubeconfig",
            str(self.home / "kubeconfig" / "controllers.kubeconfig"),
            "--leader-elect",
            "false",
            "--root-ca-file",
            str(pki / "ca.crt"),
            "--cluster-signing-cert-file",
            str(pki / "ca.crt"),
            "--cluster-signing-key-file",
            str(pki / "ca.key"),
        )
        self.start(
            "kubelet",
            "kubelet",
            "--kubeconfig",
            str(self.node_kubeconfig()),
            "--node-name",
            NODE,
            "--runtime-endpoint",
            self.machine.endpoint,
            "--root-dir",
            str(self.directory / "kubelet"),
            "--cgroup-prefix",
            self.machine.cgroup_prefix,
            "--node-ip",
            NODE_ADDRESS,
        )

    def node_kubeconfig(self) -> Path:
        pki = self.home / "pki"
        ca = Authority.from_pair(KeyPair((pki / "ca.crt").read_bytes(), (pki / "ca.key").read_bytes()))
        pair = issue(ca, f"system:node:{NODE}", datetime.now(UTC), organizations=["system:nodes"])
        path = self.directory / "node.kubeconfig"
        write_kubeconfig(path, kubeconfig(URL, (pki / "ca.crt").read_bytes(), user=NODE, client=pair))
        return path

    def wait(self, url: str, process: Process, seconds: float = 20) -> None:
        """Asked from inside: outside of the namespace nobody listens."""
        ask = "import ssl,sys,urllib.request as u; u.urlopen(sys.argv[1], context=ssl._create_unverified_context())"
        deadline = time.monotonic() + seconds
        while subprocess.run([*self.machine.enter, sys.executable, "-c", ask, url], capture_output=True).returncode:
            process.check()
            assert time.monotonic() < deadline, process.tail()
            time.sleep(0.1)

    def down(self) -> None:
        for process in reversed(self.processes):
            process.stop()
        self.machine.stop()


@pytest.fixture(scope="module")
def cluster() -> Iterator[NodeCluster]:
    directory = Path(f"/tmp/nv-node-{os.getpid()}")  # short: a socket's path has a limit
    directory.mkdir()
    cluster = NodeCluster(directory)
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()
        shutil.rmtree(directory)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", TOPICS)
def test_topic(name: str, cluster: NodeCluster) -> None:
    file = f"node/{name}"
    total, differing = replay("replay.py", URL, ADMIN_TOKEN, file, f"node={NODE}", enter=cluster.machine.enter)
    for process in cluster.processes:
        process.check()
    judge(file, total, differing, timeless=False)
