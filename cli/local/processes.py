"""Which processes a local cluster consists of. Pure: the spec in, a list of processes out.

The supervisor compares the list with what runs and starts or ends the difference, so adding a node or stopping one is
only a change of the spec.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from cli.local.layout import (
    API_PORT,
    BRIDGE_ADDRESS,
    POD_CIDR,
    SERVICE_CIDR,
    ClusterLayout,
    NodeLayout,
)
from cli.local.spec import ClusterSpec

API_SERVER = "apiserver"
CONFIGURABLE = (API_SERVER, "controllers", "scheduler", "agent")  # what takes flags of the user's
SETTLE_SECONDS = 1.0
ETCD_CLIENT = "http://127.0.0.1:2379"  # inside the control plane's namespace


@dataclass(frozen=True)
class Listener:
    """A socket that the supervisor holds open for a process, so that its clients wait through a restart."""

    address: str
    port: int
    netns: str = ""  # path of the namespace; empty for the root namespace


@dataclass(frozen=True)
class ProcessSpec:
    name: str
    command: tuple[str, ...]
    log: str
    netns: str = ""
    node: str = ""  # the machine it runs on; empty for the control plane
    listeners: tuple[Listener, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    priority: int = 0  # lower starts first
    settle_seconds: float = 0.0  # when the whole cluster starts: those that others wait for get the processors first
    once: bool = False  # a task: not started again when it has ended well


def plan_processes(layout: ClusterLayout, spec: ClusterSpec, python: str = sys.executable) -> list[ProcessSpec]:
    """In the order of starting: whoever is waited for comes first."""
    processes = [_api_server(layout, spec, python)]
    if spec.store == "etcd":
        processes.insert(0, _etcd(layout))
    for node in spec.nodes:
        if node.power == "on":
            machine = layout.node(node.name, node.index)
            processes += [_containerd(machine), _agent(layout, machine, python, spec.flags_of("agent"))]
    processes += [
        _component(layout, python, "controllers", *controller_flags(layout.home), *spec.flags_of("controllers")),
        replace(
            _component(layout, python, "scheduler", *spec.flags_of("scheduler")), settle_seconds=SETTLE_SECONDS
        ),
        _gateway(layout, python),
    ]
    return sorted(processes, key=lambda process: process.priority)


def _api_server(layout: ClusterLayout, spec: ClusterSpec, python: str) -> ProcessSpec:
    command = [
        python, "-m", "apiserver",
        "--home", str(layout.home),
        "--bind", "127.0.0.1",
        "--port", str(API_PORT),
        "--advertise-address", BRIDGE_ADDRESS,
        "--service-cluster-ip-range", SERVICE_CIDR,
        "--server", f"https://127.0.0.1:{spec.port}",
        "--component-server", layout.inner_server,
        "--store", spec.store,
        "--metrics-api",
    ]  # fmt: skip
    if spec.store == "etcd":
        command += ["--etcd-servers", ETCD_CLIENT]
    command += spec.flags_of(API_SERVER)
    return ProcessSpec(
        name=API_SERVER,
        command=tuple(command),
        log=str(layout.log / "apiserver.log"),
        netns=str(layout.netns_path),
        # Where its clients come from. The supervisor holds both sockets: whoever connects before the server is ready,
        # or while it is restarted, waits a moment instead of being refused and trying again much later.
        listeners=(
            Listener("127.0.0.1", spec.port),
            Listener(BRIDGE_ADDRESS, API_PORT, str(layout.netns_path)),
        ),
    )


def _etcd(layout: ClusterLayout) -> ProcessSpec:
    client, peer = ETCD_CLIENT, "http://127.0.0.1:2380"
    return ProcessSpec(
        name="etcd",
        command=(
            "etcd", "--name", "local", "--data-dir", str(layout.home / "db" / "etcd"),
            "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", f"local={peer}", "--log-level", "warn", "--logger", "zap",
        ),
        log=str(layout.log / "etcd.log"),
        netns=str(layout.netns_path),
    )  # fmt: skip


def controller_flags(home: Path) -> tuple[str, ...]:
    """The keys that the controllers sign with."""
    pki = home / "pki"
    return (
        "--cluster-cidr", POD_CIDR,
        "--root-ca-file", str(pki / "ca.crt"),
        "--cluster-signing-cert-file", str(pki / "ca.crt"),
        "--cluster-signing-key-file", str(pki / "ca.key"),
        "--service-account-private-key-file", str(pki / "sa.key"),
    )  # fmt: skip


def _component(layout: ClusterLayout, python: str, name: str, *flags: str) -> ProcessSpec:
    """A single server has one of each: electing a leader would only delay the first decision."""
    return ProcessSpec(
        name=name,
        command=(
            python, "-m", name, "--kubeconfig", str(layout.component_kubeconfig(name)), "--leader-elect=false",
            *flags,
        ),
        log=str(layout.log / f"{name}.log"),
        netns=str(layout.netns_path),
        priority=2,
    )  # fmt: skip


def _gateway(layout: ClusterLayout, python: str) -> ProcessSpec:
    """In the root namespace: it listens there and opens its outgoing sockets inside the cluster."""
    return ProcessSpec(
        name="gateway",
        command=(
            python, "-m", "cli.local.gateway",
            str(layout.admin_kubeconfig), str(layout.netns_path),
        ),
        log=str(layout.log / "gateway.log"),
        priority=3,
        settle_seconds=SETTLE_SECONDS,
    )  # fmt: skip


def _containerd(node: NodeLayout) -> ProcessSpec:
    return ProcessSpec(
        name=f"containerd@{node.name}",
        command=("containerd", "--config", str(node.containerd_config), "--log-level", "warn"),
        log=str(node.log / "containerd.log"),
        netns=str(node.netns_path),
        node=node.name,
        priority=0,
    )


def _agent(layout: ClusterLayout, node: NodeLayout, python: str, flags: tuple[str, ...]) -> ProcessSpec:
    return ProcessSpec(
        name=f"agent@{node.name}",
        command=(*agent_command(node, python), *flags),
        log=str(node.log / "agent.log"),
        netns=str(node.netns_path),
        node=node.name,
        priority=1,
    )


def agent_command(node: NodeLayout, python: str) -> tuple[str, ...]:
    return (
        python, "-m", "cli.node",
        "--kubeconfig", str(node.kubeconfig),
        "--node-name", node.name,
        "--node-ip", node.address,
        "--runtime-endpoint", str(node.containerd_socket),
        "--root-dir", str(node.kubelet),
        "--pod-log-dir", str(node.log / "pods"),
        "--container-log-dir", str(node.log / "containers"),
        "--cgroup-prefix", node.cgroup,
        "--cni-conf-dir", str(node.cni_configuration),
        "--cni-data-dir", str(node.cni_data),
        "--cluster-cidr", POD_CIDR,
    )  # fmt: skip
