"""The cgroups above the containers: one a pod, under one a QoS class, under one of the node.

The runtime makes the containers' own cgroups below the pod's. Both layouts are served: version 2 with one tree, and
version 1 (also in the hybrid form) with a tree a controller. Where the agent may not write, pods run without these
limits of the second line: the containers' own limits hold in any case, and the log says it once.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import structlog

from kubelet.config.resources import cpu_quota, cpu_shares, pod_requests
from kubelet.podspec import Pod, pod_uid, qos_class

log = structlog.get_logger(__name__)

ROOT = Path("/sys/fs/cgroup")
V1_CONTROLLERS = ("cpu", "memory")


def cpu_weight(shares: int) -> int:
    """cpu.shares (2…262144) as cpu.weight (1…10000)."""
    return 1 + (shares - 2) * 9999 // 262142


def pod_limits(pod: Pod) -> dict[str, int]:
    """``shares``, ``quota`` and ``memory`` of the pod; a limit only if every container has one."""
    requests = pod_requests(pod)
    found = {"shares": cpu_shares(requests.get("cpu", 0))}
    specs = [*(pod["spec"].get("containers") or ()), *(pod["spec"].get("initContainers") or ())]
    limits = pod_requests(pod, "limits")
    for resource, key in (("cpu", "quota"), ("memory", "memory")):
        if all(resource in ((spec.get("resources") or {}).get("limits") or {}) for spec in specs):
            found[key] = cpu_quota(limits[resource]) if resource == "cpu" else limits[resource]
    return found


class PodCgroups:
    def __init__(self, *, prefix: str = "", driver: str = "cgroupfs", root: Path = ROOT) -> None:
        self._prefix = prefix.strip("/")
        self._driver, self._root = driver, root
        self._complained = False

    @property
    def is_v2(self) -> bool:
        return (self._root / "cgroup.controllers").exists()

    def parent_of(self, pod: Pod) -> str:
        """What the runtime is told: a path, or the name of a slice for systemd."""
        qos, uid = qos_class(pod).lower(), pod_uid(pod)
        if self._driver == "systemd":
            middle = "" if qos == "guaranteed" else f"-{qos}"
            return f"kubepods{middle}-pod{uid.replace('-', '_')}.slice"
        return "/" + "/".join(part for part in (*self._parents(qos), f"pod{uid}") if part)

    def _parents(self, qos: str) -> tuple[str, ...]:
        return (self._prefix, "kubepods", "" if qos == "guaranteed" else qos)

    def ensure(self, pod: Pod) -> None:
        """Makes the pod's cgroup and sets its limits. systemd makes slices by itself."""
        if self._driver == "systemd":
            return
        relative, limits = self.parent_of(pod).strip("/"), pod_limits(pod)
        try:
            if self.is_v2:
                self._ensure_v2(relative, limits)
            else:
                self._ensure_v1(relative, limits)
        except OSError as error:
            if not self._complained:
                self._complained = True
                log.warning("pods run without cgroups of their own", error=str(error))

    def _ensure_v2(self, relative: str, limits: dict[str, int]) -> None:
        path = self._root
        for part in relative.split("/"):
            with contextlib.suppress(OSError):
                available = (path / "cgroup.controllers").read_text().split()
                wanted = [f"+{name}" for name in ("cpu", "memory", "pids", "cpuset") if name in available]
                (path / "cgroup.subtree_control").write_text(" ".join(wanted))
            path = path / part
            path.mkdir(exist_ok=True)
        _write(path / "cpu.weight", cpu_weight(limits["shares"]))
        if "quota" in limits:
            _write(path / "cpu.max", f"{limits['quota']} 100000")
        if "memory" in limits:
            _write(path / "memory.max", limits["memory"])

    def _ensure_v1(self, relative: str, limits: dict[str, int]) -> None:
        for controller in V1_CONTROLLERS:
            (self._root / controller / relative).mkdir(parents=True, exist_ok=True)
        cpu, memory = self._root / "cpu" / relative, self._root / "memory" / relative
        _write(cpu / "cpu.shares", limits["shares"])
        if "quota" in limits:
            _write(cpu / "cpu.cfs_quota_us", limits["quota"])
        if "memory" in limits:
            _write(memory / "memory.limit_in_bytes", limits["memory"])
        if relative.startswith(f"{self._prefix}/kubepods/besteffort".lstrip("/")):
            _write(cpu.parent / "cpu.shares", 2)

    def _hierarchies(self) -> list[Path]:
        if self.is_v2:
            return [self._root]
        return [entry for entry in self._root.iterdir() if entry.is_dir()] if self._root.exists() else []

    def remove(self, uid: str) -> None:
        """The pod's cgroup in every tree, with what the runtime left below it."""
        for tree in self._hierarchies():
            for qos in ("", "burstable", "besteffort"):
                parts = [part for part in (self._prefix, "kubepods", qos, f"pod{uid}") if part]
                remove_tree(tree.joinpath(*parts))

    def remove_all(self) -> None:
        """The node's whole branch, when it is empty: nothing of a stopped node stays behind."""
        for tree in self._hierarchies():
            remove_tree(tree.joinpath(*[part for part in (self._prefix, "kubepods") if part]))
            for parent in [Path(self._prefix), *Path(self._prefix).parents] if self._prefix else ():
                if str(parent) != ".":
                    with contextlib.suppress(OSError):
                        (tree / parent).rmdir()


def remove_tree(path: Path) -> None:
    """Deepest first. A cgroup in which something still runs stays; the next attempt takes it."""
    if not path.is_dir():
        return
    for child in path.iterdir():
        if child.is_dir():
            remove_tree(child)
    with contextlib.suppress(OSError):
        path.rmdir()


def _write(path: Path, value: int | str) -> None:
    """A value that the kernel refuses (a limit below what is used) is worth a line, not a failed pod."""
    try:
        path.write_text(str(value))
    except FileNotFoundError:
        return
    except OSError as error:
        log.info("cgroup value refused", path=str(path), value=value, error=str(error))
