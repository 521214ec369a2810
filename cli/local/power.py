"""Cut a machine's power, and clear away what a machine leaves outside its folder.

Nothing is asked of the agent or of containerd: a power loss must work when both are broken, and `down` must leave
nothing even after a crash. Processes are therefore found by what the kernel knows of them (their network namespace,
their cgroup, their parents), not by anybody's records.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from cli.local.layout import NodeLayout

SHIM_SOCKETS = Path("/run/containerd/s")
CNI_RESULTS = Path("/var/lib/cni/results")
KILL_TIMEOUT_SECONDS = 10.0


class PowerError(RuntimeError):
    pass


def power_off(node: NodeLayout) -> int:
    """Kill everything on the machine and forget what a machine forgets without power. Returns how many processes died.

    The caller has already told the supervisor not to start them again.
    """
    killed = _kill_all(node)
    _remove_shim_sockets(node)
    unmount_below(node.directory)
    shutil.rmtree(node.containerd_state, ignore_errors=True)
    node.containerd_socket.unlink(missing_ok=True)
    node.containerd_socket.with_suffix(".sock.ttrpc").unlink(missing_ok=True)
    remove_cgroup(node.cgroup)
    return killed


def remove_traces(node: NodeLayout) -> None:
    """After `power_off`, for a machine that will not come back: what is neither its folder nor its namespace."""
    for sandbox in (node.containerd_root / "io.containerd.grpc.v1.cri" / "sandboxes").glob("*"):
        for path in CNI_RESULTS.glob(f"*-{sandbox.name}-*"):
            path.unlink(missing_ok=True)
    for directory in (CNI_RESULTS, CNI_RESULTS.parent / "cache", CNI_RESULTS.parent, SHIM_SOCKETS, SHIM_SOCKETS.parent):
        with contextlib.suppress(OSError):
            directory.rmdir()  # only if nothing else is in it
    shutil.rmtree(node.directory, ignore_errors=True)


# -- processes ------------------------------------------------------------------------------------------------------


def _kill_all(node: NodeLayout) -> int:
    killed: set[int] = set()
    deadline = time.monotonic() + KILL_TIMEOUT_SECONDS
    while found := machine_processes(node):
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed |= found
        if time.monotonic() > deadline:
            raise PowerError(f"processes of {node.name} do not die: {sorted(found)}")
        time.sleep(0.01)
    return len(killed)


def machine_processes(node: NodeLayout) -> set[int]:
    """Every process in one of the machine's network namespaces or cgroups, its containers' shims, and the descendants
    of all these; not ourselves."""
    namespaces = _network_namespaces(node)
    parents: dict[int, int] = {}
    found: set[int] = set()
    for entry in os.listdir("/proc"):
        if not entry.isdecimal():
            continue
        pid = int(entry)
        parent = _living_parent(pid)
        if parent is None:
            continue
        parents[pid] = parent
        if _network_namespace(pid) in namespaces or _is_in_cgroup(pid, node.cgroup) or _is_shim_of(pid, node):
            found.add(pid)
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    frontier = list(found)
    while frontier:
        fresh = [child for child in children.get(frontier.pop(), ()) if child not in found]
        found.update(fresh)
        frontier += fresh
    return found - {os.getpid()}


def _living_parent(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[1])


def _network_namespaces(node: NodeLayout) -> set[int]:
    """Of the machine itself and of its pods, whose namespaces containerd mounts below its state folder."""
    paths = [str(node.netns_path), *_mounts_below(node.directory, types={"nsfs"})]
    found = set()
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            found.add(os.stat(path).st_ino)
    return found


def _network_namespace(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:
        return None  # it ended, or is ending


def _is_shim_of(pid: int, node: NodeLayout) -> bool:
    """Containers' parents; on a real machine they share its namespace: their words alone tell whose they are."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"containerd-shim" in words[0] and str(node.containerd_socket).encode() in words


def _is_in_cgroup(pid: int, cgroup: str) -> bool:
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return False
    paths = [line.split(":", 2)[2] for line in lines]
    return any(path == cgroup or path.startswith(f"{cgroup}/") for path in paths)


# -- mounts, sockets, cgroups ---------------------------------------------------------------------------------------


def unmount_below(directory: Path, tries: int = 5) -> None:
    for _ in range(tries):
        mounts = _mounts_below(directory)
        if not mounts:
            return
        # The newest first: a mount may lie on another. Lazy, because somebody may be looking. One that has gone by
        # itself meanwhile makes umount complain about it and no harm: the next look tells.
        subprocess.run(["umount", "--lazy", *reversed(mounts)], capture_output=True, check=False)
    left = _mounts_below(directory)
    if left:
        raise PowerError(f"still mounted: {' '.join(left)}")


def _mounts_below(directory: Path, types: Iterable[str] = ()) -> list[str]:
    found = []
    wanted = set(types)
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        point = before.split()[4].encode().decode("unicode_escape")
        if point.startswith(f"{directory}/") and (not wanted or after.split()[0] in wanted):
            found.append(point)
    return found


def _remove_shim_sockets(node: NodeLayout) -> None:
    """A killed shim leaves its socket in a place that all containerds of the machine share."""
    for path in node.containerd_state.glob("io.containerd.runtime.v2.task/*/*/address"):
        with contextlib.suppress(OSError):
            address = Path(path.read_text().strip().removeprefix("unix://"))
            if address.parent == SHIM_SOCKETS:
                address.unlink(missing_ok=True)


def cgroup_roots() -> list[Path]:
    roots = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.split()[0] in ("cgroup", "cgroup2"):
            roots.append(Path(before.split()[4]))
    return roots


def remove_cgroup(path: str, timeout_seconds: float = 2.0) -> None:
    """The group and all below it, in every hierarchy, and its parents if nothing else is in them."""
    deadline = time.monotonic() + timeout_seconds
    for root in cgroup_roots():
        top = root / path.lstrip("/")
        while not _remove_tree(top) and time.monotonic() < deadline:
            time.sleep(0.02)  # the kernel takes a moment to let go of the dead
        parent = top.parent
        while parent != root and _remove_directory(parent):
            parent = parent.parent


def _remove_tree(top: Path) -> bool:
    removed = True
    for directory, _, _ in os.walk(top, topdown=False):
        removed = _remove_directory(Path(directory)) and removed
    return removed


def _remove_directory(path: Path) -> bool:
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
