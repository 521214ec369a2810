"""Make a machine a node: learn the cluster's authority by the token, then run containerd and the agent."""

from __future__ import annotations

import json
import ssl
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from cli.errors import CommandError
from cli.join.discovery import PATH, split_token, verify
from cli.local.home import ensure_node_files
from cli.local.layout import NodeLayout, check_home, check_node_name
from cli.local.processes import ProcessSpec
from cli.local.quicktls import client_tls
from machinery.pki.files import write_private
from machinery.pki.kubeconfig import kubeconfig

CLUSTER = "agent"  # the part of names that a local cluster's name takes
DISCOVERY_SECONDS = 10.0


@dataclass(frozen=True)
class AgentOptions:
    home: Path
    node_name: str
    server: str = ""
    token: str = ""
    ca_file: Path | None = None
    node_ip: str = ""
    runtime_endpoint: str = ""  # empty: a containerd of our own
    labels: str = ""
    taints: str = ""


def node_layout(options: AgentOptions) -> NodeLayout:
    return NodeLayout(CLUSTER, check_node_name(options.node_name), 0, check_home(options.home))


def prepare(options: AgentOptions) -> NodeLayout:
    """Folders, and what to join with unless the machine has joined before."""
    node = node_layout(options)
    ensure_node_files(node)
    if node.kubeconfig.exists():
        return node
    if not options.server or not options.token:
        raise CommandError(
            "this machine has not joined yet: give --server URL and --token TOKEN, or paste the line that "
            "`navarch token create --print-join-command` prints on the server", 2,
        )  # fmt: skip
    split_token(options.token)
    ca = options.ca_file.read_bytes() if options.ca_file else discover(options.server, options.token)
    config = kubeconfig(options.server, ca, user="bootstrap", token=options.token)
    write_private(_bootstrap_kubeconfig(node), json.dumps(config).encode())
    return node


def discover(server: str, token: str) -> bytes:
    """The cluster's CA certificate. The connection that brings it is not trusted; the token's signature is."""
    if not server.startswith("https://"):
        raise CommandError(f"--server {server}: use https://ADDRESS:PORT", 2)
    untrusted = ssl.create_default_context()
    untrusted.check_hostname = False
    untrusted.verify_mode = ssl.CERT_NONE
    ca = verify(json.loads(_fetch(server, untrusted)), token)
    trusted = client_tls({"certificate-authority-data": _base64(ca)}, {})
    _fetch(server, trusted)  # that it also is the one who answers here
    return ca


def _fetch(server: str, tls: ssl.SSLContext) -> bytes:
    try:
        with urllib.request.urlopen(server.rstrip("/") + PATH, timeout=DISCOVERY_SECONDS, context=tls) as answer:
            content: bytes = answer.read()
            return content
    except urllib.error.HTTPError as error:
        if error.code in (401, 403, 404):
            raise CommandError(
                f"{server} does not tell who it is: create a token there first (`navarch token create`)"
            ) from error
        raise CommandError(f"{server} answers {error.code} {error.reason}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise CommandError(f"{server} does not answer: {reason}") from error


def _base64(data: bytes) -> str:
    import base64

    return base64.b64encode(data).decode()


def _bootstrap_kubeconfig(node: NodeLayout) -> Path:
    return node.kubelet / "bootstrap.kubeconfig"


def plan_agent(node: NodeLayout, options: AgentOptions, python: str = sys.executable) -> list[ProcessSpec]:
    """Pure."""
    processes = []
    if not options.runtime_endpoint:
        containerd = ("containerd", "--config", str(node.containerd_config), "--log-level", "warn")
        processes.append(ProcessSpec("containerd", containerd, str(node.log / "containerd.log")))
    command = [
        python, "-m", "cli.node",
        "--kubeconfig", str(node.kubeconfig), "--bootstrap-kubeconfig", str(_bootstrap_kubeconfig(node)),
        "--node-name", node.name,
        "--runtime-endpoint", options.runtime_endpoint or str(node.containerd_socket),
        "--root-dir", str(node.kubelet),
        "--pod-log-dir", str(node.log / "pods"), "--container-log-dir", str(node.log / "containers"),
        "--cgroup-prefix", node.cgroup,
        "--cni-conf-dir", str(node.cni_configuration) if not options.runtime_endpoint else "/etc/cni/net.d",
        "--cni-data-dir", str(node.cni_data),
    ]  # fmt: skip
    for flag, value in (
        ("--node-ip", options.node_ip), ("--node-labels", options.labels), ("--register-with-taints", options.taints),
    ):  # fmt: skip
        if value:
            command += [flag, value]
    processes.append(ProcessSpec("agent", tuple(command), str(node.log / "agent.log")))
    return processes
