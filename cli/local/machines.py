"""The machines of a local cluster: network namespaces joined by a bridge, made and unmade with iproute2.

A namespace of the cluster's own holds the bridge, and with it the control plane's address; every node's namespace hangs
on it by a veth pair. The root namespace gets no link and no address, so nothing of the cluster shows there. The two
commands `unshare` and `ip -batch` do in a few milliseconds what a netlink library needs 300 ms of imports for.

Everything here is an ``ensure``: it looks first, and a second call changes nothing.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from cli.local.layout import BRIDGE, BRIDGE_ADDRESS, NETNS_DIRECTORY, PREFIX_LENGTH, ClusterLayout, NodeLayout


class MachineError(RuntimeError):
    pass


def run(*command: str, stdin: str | None = None) -> str:
    """Run a tool to its end; its complaint becomes the error."""
    result = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if result.returncode:
        complaint = (result.stderr or result.stdout).strip().splitlines()
        raise MachineError(f"{command[0]}: {complaint[0] if complaint else f'exit status {result.returncode}'}")
    return result.stdout


def is_namespace(path: Path) -> bool:
    """After a reboot the file may be there without a namespace mounted on it."""
    try:
        return os.stat(path).st_dev != os.stat(path.parent).st_dev
    except FileNotFoundError:
        return False


def ensure_namespace(path: Path) -> bool:
    """True when it was made now."""
    if is_namespace(path):
        return False
    _make_mount_point(path)
    # A host that mounts /run shared would carry our mounts into every service's namespace and keep them busy there;
    # unshare --net=FILE binds in the caller's mount namespace, where umount finds it again.
    run("unshare", f"--net={path}", "true")
    return True


def _make_mount_point(path: Path) -> None:
    """Another cluster's `down` may remove the folder, empty for a moment, between our two steps."""
    for _ in range(10):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.touch(mode=0o444)
            return
        except FileNotFoundError:
            continue
    raise MachineError(f"{path.parent} does not stay: somebody keeps removing it")


def remove_namespace(path: Path) -> None:
    if is_namespace(path):
        run("umount", "--lazy", str(path))
    path.unlink(missing_ok=True)


def _batch(path: Path, *lines: str) -> None:
    run("nsenter", f"--net={path}", "ip", "-batch", "-", stdin="\n".join(lines) + "\n")


def ensure_control_plane(layout: ClusterLayout) -> None:
    if not ensure_namespace(layout.netns_path) and _has_link(layout.netns_path, BRIDGE):
        return
    _batch(
        layout.netns_path,
        "link set lo up",
        f"link add {BRIDGE} type bridge forward_delay 0",
        f"address add {BRIDGE_ADDRESS}/{PREFIX_LENGTH} dev {BRIDGE}",
        f"link set {BRIDGE} up",
    )


def ensure_node(layout: ClusterLayout, node: NodeLayout, *, link_up: bool = True) -> None:
    """Make the machine, plug its cable in and set the cable's state."""
    made = ensure_namespace(node.netns_path)
    if made or not _has_link(node.netns_path, "eth0"):
        if _has_link(layout.netns_path, node.bridge_port):
            _batch(layout.netns_path, f"link delete {node.bridge_port}")
        # The pair is born in the control plane's namespace with the peer already inside the machine.
        # `ip` knows namespaces by their file name below /run/netns.
        _batch(
            layout.netns_path,
            f"link add {node.bridge_port} type veth peer name eth0 netns {node.netns}",
            f"link set {node.bridge_port} master {BRIDGE}",
        )
        _batch(
            node.netns_path,
            "link set lo up",
            f"address add {node.address}/{PREFIX_LENGTH} dev eth0",
            "link set eth0 up",
            f"route add default via {BRIDGE_ADDRESS}",
        )
    set_link(layout, node, up=link_up)


def set_link(layout: ClusterLayout, node: NodeLayout, *, up: bool) -> None:
    """The switch's end of the cable: the machine sees the carrier go, as when a plug is pulled."""
    _batch(layout.netns_path, f"link set {node.bridge_port} {'up' if up else 'down'}")


def remove_node(layout: ClusterLayout, node: NodeLayout) -> None:
    if is_namespace(layout.netns_path) and _has_link(layout.netns_path, node.bridge_port):
        _batch(layout.netns_path, f"link delete {node.bridge_port}")
    remove_namespace(node.netns_path)


def remove_control_plane(layout: ClusterLayout) -> None:
    remove_namespace(layout.netns_path)
    remove_empty(NETNS_DIRECTORY)


def remove_empty(directory: Path) -> None:
    try:
        directory.rmdir()
    except OSError:
        pass  # others use it


def _has_link(netns: Path, link: str) -> bool:
    command = ["nsenter", f"--net={netns}", "ip", "link", "show", "dev", link]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
