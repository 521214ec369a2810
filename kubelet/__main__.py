"""``python -m kubelet``: the agent alone, with flags."""

from __future__ import annotations

import machinery.runtime.lean  # isort: skip  # noqa: F401 (first: before anything imports structlog)

import argparse
import asyncio
from pathlib import Path

from kubelet.agent import run
from kubelet.server.extension import serve
from kubelet.settings import DEFAULT_ENDPOINT, DEFAULT_PORT, Options
from machinery.runtime import logging
from machinery.runtime.process import run_until_signal


def parse_arguments(arguments: list[str] | None = None) -> Options:
    parser = argparse.ArgumentParser(prog="navarch kubelet", description="The node agent.")
    parser.add_argument("--kubeconfig", type=Path, required=True, help="credentials; made by joining if missing")
    parser.add_argument("--bootstrap-kubeconfig", type=Path, help="credentials to join with")
    parser.add_argument("--node-name", required=True)
    parser.add_argument("--runtime-endpoint", default=DEFAULT_ENDPOINT, help="containerd's socket")
    parser.add_argument("--root-dir", type=Path, default=Path("/var/lib/kubelet"))
    parser.add_argument("--pod-log-dir", type=Path, help="default: ROOT_DIR/log/pods")
    parser.add_argument("--container-log-dir", type=Path, help="default: ROOT_DIR/log/containers")
    parser.add_argument("--cert-dir", type=Path, help="default: ROOT_DIR/pki")
    parser.add_argument("--manifest-dir", type=Path, help="static pods")
    parser.add_argument("--node-ip", default="", help="default: the address that reaches the API server")
    parser.add_argument("--node-labels", default="", help="KEY=VALUE,…")
    parser.add_argument("--register-with-taints", default="", help="KEY=VALUE:EFFECT,…")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    parser.add_argument("--address", default="0.0.0.0")
    parser.add_argument("--cluster-dns", default="10.96.0.10", help="ADDRESS,…")
    parser.add_argument("--cluster-domain", default="cluster.local")
    parser.add_argument("--resolv-conf", type=Path, default=Path("/etc/resolv.conf"))
    parser.add_argument("--cgroup-prefix", default="", help="where kubepods lies in the cgroup tree")
    parser.add_argument("--cgroup-driver", default="", choices=["", "cgroupfs", "systemd"])
    parser.add_argument("--max-pods", type=int, default=110)
    parser.add_argument("--allowed-unsafe-sysctls", default="")
    parser.add_argument("--log-level", default="info")
    found = parser.parse_args(arguments)
    logging.configure("kubelet", level=found.log_level)
    return Options(
        kubeconfig=found.kubeconfig, bootstrap_kubeconfig=found.bootstrap_kubeconfig, node_name=found.node_name,
        runtime_endpoint=found.runtime_endpoint, root_dir=found.root_dir.resolve(), pod_log_dir=found.pod_log_dir,
        container_log_dir=found.container_log_dir, cert_dir=found.cert_dir, manifest_dir=found.manifest_dir,
        node_ip=found.node_ip, node_labels=parse_labels(found.node_labels),
        register_with_taints=parse_taints(found.register_with_taints), port=found.port, address=found.address,
        cluster_dns=tuple(_words(found.cluster_dns)), cluster_domain=found.cluster_domain,
        resolv_conf=found.resolv_conf, cgroup_prefix=found.cgroup_prefix, cgroup_driver=found.cgroup_driver,
        max_pods=found.max_pods, allowed_sysctls=tuple(_words(found.allowed_unsafe_sysctls)),
    )  # fmt: skip


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def parse_labels(text: str) -> dict[str, str]:
    return dict(word.partition("=")[::2] for word in _words(text))


def parse_taints(text: str) -> tuple[dict[str, str], ...]:
    """``key=value:Effect`` or ``key:Effect``."""
    found = []
    for word in _words(text):
        head, _, effect = word.rpartition(":")
        key, equals, value = head.partition("=")
        found.append({"key": key, "effect": effect} | ({"value": value} if equals else {}))
    return tuple(found)


def main() -> None:
    options = parse_arguments()

    async def agent(stop: asyncio.Event) -> None:
        await run(options, stop=stop, extensions=(serve,))

    run_until_signal(agent)


if __name__ == "__main__":
    main()
