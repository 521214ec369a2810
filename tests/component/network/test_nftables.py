"""The rules in a real kernel: a node and two pods as network namespaces of this test, packets through nftables."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time

import pytest

from network.proxy.model import HostPort, service_ports
from network.proxy.ruleset import RuleSet, compute_ruleset
from network.proxy.transaction import delete_table, full_transaction, plan_transaction
from tests.unit.network.test_ruleset import endpoint, service, slice_of

pytestmark = pytest.mark.root

CIDR = "10.244.0.0/16"
PREFIX = f"nvt{os.getpid() % 100000}"
SERVE = """
import socket, sys
server = socket.create_server(("0.0.0.0", int(sys.argv[1])))
print("ready", flush=True)
while True:
    peer, address = server.accept()
    peer.sendall(f"{sys.argv[2]} {address[0]}".encode()); peer.close()
"""
ASK = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1.5) as s: print(s.recv(100).decode())
except ConnectionRefusedError: print("refused")
except TimeoutError: print("timeout")
"""


def sh(*argv: str, stdin: str | None = None) -> str:
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
    return done.stdout


class Machine:
    """A node with pods hanging off routed veths, and a client outside of it."""

    def __init__(self) -> None:
        self.spaces: list[str] = []
        self.servers: list[subprocess.Popen[str]] = []
        self.node = self.space("node")
        sh("ip", "netns", "exec", self.node, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.pods = [self.hang(f"pod{n}", f"10.244.0.{n}", "10.244.0.254") for n in (1, 2)]
        self.outside = self.hang("out", "10.200.0.9", "10.200.0.1")

    def space(self, name: str) -> str:
        full = f"{PREFIX}-{name}"
        sh("ip", "netns", "add", full)
        self.spaces.append(full)
        sh("ip", "-n", full, "link", "set", "lo", "up")
        return full

    def hang(self, name: str, address: str, gateway: str) -> str:
        space = self.space(name)
        link = f"v{name}"
        sh("ip", "-n", self.node, "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", space)
        sh("ip", "-n", self.node, "addr", "add", f"{gateway}/32", "dev", link)
        sh("ip", "-n", self.node, "link", "set", link, "up")
        sh("ip", "-n", self.node, "route", "add", f"{address}/32", "dev", link)
        sh("ip", "-n", space, "addr", "add", f"{address}/32", "dev", "eth0")
        sh("ip", "-n", space, "link", "set", "eth0", "up")
        sh("ip", "-n", space, "route", "add", gateway, "dev", "eth0")
        sh("ip", "-n", space, "route", "add", "default", "via", gateway)
        return space

    def serve(self, space: str, port: int, name: str) -> None:
        child = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{space}", sys.executable, "-c", SERVE, str(port), name],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.servers.append(child)
        assert child.stdout is not None
        assert child.stdout.readline().strip() == "ready"

    def apply(self, text: str) -> None:
        sh("nsenter", f"--net=/run/netns/{self.node}", "nft", "-f", "-", stdin=text)

    def ask(self, space: str, address: str, port: int) -> str:
        return sh("nsenter", f"--net=/run/netns/{space}", sys.executable, "-c", ASK, address, str(port)).strip()

    def end(self) -> None:
        for server in self.servers:
            server.kill()
            server.wait()
            if server.stdout:
                server.stdout.close()
        for space in self.spaces:
            subprocess.run(["ip", "netns", "del", space], check=False)


@pytest.fixture(scope="module")
def machine():
    with contextlib.ExitStack() as stack:
        made = Machine()
        stack.callback(made.end)
        made.serve(made.pods[0], 8080, "one")
        made.serve(made.pods[1], 8080, "two")
        yield made


def rules(svc, *slices, published=()):
    return compute_ruleset(
        service_ports(svc, slices, "n1"), published, cluster_cidr=CIDR, pod_cidr="10.244.0.0/24"
    )


BOTH = slice_of(endpoint("10.244.0.1"), endpoint("10.244.0.2"))
NODE_PORT = {"type": "NodePort", "ports": [{"name": "http", "port": 80, "nodePort": 30080}]}


def test_a_cluster_ip_reaches_every_endpoint_and_answers_come_back(machine):
    machine.apply(full_transaction(rules(service(), BOTH)))
    answers = {machine.ask(machine.outside, "10.96.0.5", 80) for _ in range(20)}
    assert answers == {"one 10.244.0.254", "two 10.244.0.254"}, "strangers are masqueraded"


def test_pods_reach_each_other_and_themselves_through_the_service(machine):
    """A pod on the same node sees the client's own address; only to itself it is masqueraded (hairpin)."""
    machine.apply(full_transaction(rules(service(), BOTH)))
    answers = {machine.ask(machine.pods[0], "10.96.0.5", 80) for _ in range(20)}
    assert answers == {"one 10.244.0.254", "two 10.244.0.1"}


def test_no_endpoint_is_refused_at_once(machine):
    machine.apply(full_transaction(rules(service())))
    assert machine.ask(machine.pods[0], "10.96.0.5", 80) == "refused"
    assert machine.ask(machine.outside, "10.96.0.5", 80) == "refused"


def test_policy_local_without_an_endpoint_here_is_dropped(machine):
    far = slice_of(endpoint("10.244.7.1", "n2"))
    machine.apply(full_transaction(rules(service(**NODE_PORT, externalTrafficPolicy="Local"), far)))
    assert machine.ask(machine.outside, "10.200.0.1", 30080) == "timeout"


def test_node_ports_keep_the_source_address_only_with_policy_local(machine):
    one = slice_of(endpoint("10.244.0.1"))
    machine.apply(full_transaction(rules(service(**NODE_PORT), one)))
    assert machine.ask(machine.outside, "10.200.0.1", 30080) == "one 10.244.0.254"
    machine.apply(full_transaction(rules(service(**NODE_PORT, externalTrafficPolicy="Local"), one)))
    assert machine.ask(machine.outside, "10.200.0.1", 30080) == "one 10.200.0.9"


def test_affinity_sticks(machine):
    machine.apply(full_transaction(rules(service(sessionAffinity="ClientIP"), BOTH)))
    assert len({machine.ask(machine.outside, "10.96.0.5", 80) for _ in range(12)}) == 1


def test_a_host_port(machine):
    published = [HostPort("tcp", "", 8088, "10.244.0.2", 8080)]
    machine.apply(full_transaction(rules(service(), BOTH, published=published)))
    assert machine.ask(machine.outside, "10.200.0.1", 8088) == "two 10.200.0.9"


def test_changes_apply_by_difference_without_a_failed_request(machine):
    """Endpoints come and go a hundred times under constant requests; every request is answered."""
    states = [
        rules(service(), BOTH),
        rules(service(), slice_of(endpoint("10.244.0.1"))),
        rules(service(), slice_of(endpoint("10.244.0.2"))),
        rules(service(sessionAffinity="ClientIP"), BOTH),
    ]
    current = states[0]
    machine.apply(full_transaction(current))
    answers: list[str] = []
    stop = threading.Event()

    def ask_on() -> None:
        while not stop.is_set():
            answers.append(machine.ask(machine.outside, "10.96.0.5", 80))

    asking = threading.Thread(target=ask_on)
    asking.start()
    try:
        for step in range(100):
            wanted = states[step % len(states)]
            text = plan_transaction(current, wanted)
            if text:
                machine.apply(text)
            current = wanted
        time.sleep(0.1)
    finally:
        stop.set()
        asking.join()
    assert answers
    assert {answer.split()[0] for answer in answers} <= {"one", "two"}
    machine.apply(plan_transaction(current, RuleSet()) or "")


def test_removal_leaves_no_table(machine):
    machine.apply(full_transaction(rules(service(), BOTH)))
    machine.apply(delete_table())
    assert "navarch" not in sh("nsenter", f"--net=/run/netns/{machine.node}", "nft", "list", "ruleset")
