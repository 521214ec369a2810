"""What `up` must know before it touches anything: are we allowed, are the tools here, is the port free."""

from __future__ import annotations

import os
import shutil
import socket

from cli.errors import CommandError
from cli.local.layout import API_PORT

TOOLS = {
    "containerd": "containerd", "runc": "runc", "ctr": "containerd", "ip": "iproute2", "nft": "nftables",
    "nsenter": "util-linux", "unshare": "util-linux", "conntrack": "conntrack",
}  # fmt: skip


def require_root(command: str) -> None:
    if os.geteuid() != 0:
        raise CommandError(f"navarch {command} needs root (namespaces, containers): run it with sudo")


def require_tools(store: str) -> None:
    tools = TOOLS | ({"etcd": "etcd-server"} if store == "etcd" else {})
    missing = sorted({package for tool, package in tools.items() if shutil.which(tool) is None})
    if missing:
        raise CommandError(f"Debian packages are missing: run `make setup`, or apt-get install {' '.join(missing)}")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def choose_port(wanted: int | None) -> int:
    """The asked one or nothing; else the usual one, or any free one when another cluster has that."""
    if wanted is not None:
        require_free(wanted)
        return wanted
    if is_free(API_PORT):
        return API_PORT
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def require_free(port: int) -> None:
    if not is_free(port):
        raise CommandError(f"port {port} on 127.0.0.1 is in use: end what listens there, or choose another with --port")
