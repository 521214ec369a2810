"""What this machine is: read from /proc, the kernel and the file systems."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from kubelet.images.oci import host_architecture

CAP_SYS_RESOURCE = 24


@dataclass(frozen=True, slots=True)
class Machine:
    """Facts that do not change while the agent runs."""

    cpus: int
    memory_bytes: int
    swap_bytes: int
    architecture: str
    kernel: str
    os_image: str
    machine_id: str
    system_uuid: str
    boot_id: str
    huge_pages: tuple[tuple[str, int], ...] = ()


def read_machine(root: Path = Path("/")) -> Machine:
    memory = meminfo(root)
    return Machine(
        cpus=os.cpu_count() or 1,
        memory_bytes=memory.get("MemTotal", 0),
        swap_bytes=memory.get("SwapTotal", 0),
        architecture=host_architecture(),
        kernel=platform.release(),
        os_image=_os_image(root),
        machine_id=_text(root / "etc/machine-id") or _text(root / "var/lib/dbus/machine-id"),
        system_uuid=_text(root / "sys/class/dmi/id/product_uuid") or _text(root / "etc/machine-id"),
        boot_id=_text(root / "proc/sys/kernel/random/boot_id"),
        huge_pages=_huge_pages(root),
    )


def meminfo(root: Path = Path("/")) -> dict[str, int]:
    """Bytes by name."""
    found = {}
    for line in _text(root / "proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words:
            found[name] = int(words[0]) * (1024 if len(words) > 1 else 1)
    return found


def _os_image(root: Path) -> str:
    for line in _text(root / "etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return "Linux"


def _huge_pages(root: Path) -> tuple[tuple[str, int], ...]:
    """(resource name, bytes) of each size the kernel has."""
    directory = root / "sys/kernel/mm/hugepages"
    found = []
    if directory.is_dir():
        for entry in sorted(directory.iterdir()):
            size = int(entry.name.removeprefix("hugepages-").removesuffix("kB"))
            count = int(_text(entry / "nr_hugepages") or 0)
            label = f"{size // 1048576}Gi" if size % 1048576 == 0 else f"{size // 1024}Mi"
            found.append((f"hugepages-{label}", count * size * 1024))
    return tuple(found)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Disk:
    total_bytes: int
    available_bytes: int
    inodes: int
    inodes_free: int


def read_disk(path: Path) -> Disk:
    status = os.statvfs(path)
    return Disk(
        status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize, status.f_files, status.f_favail
    )


@dataclass(frozen=True, slots=True)
class Pressure:
    """What may run out."""

    memory_available: int
    disk: Disk
    processes: int
    max_processes: int


def read_pressure(path: Path, root: Path = Path("/")) -> Pressure:
    running = _text(root / "proc/loadavg").split()
    processes = int(running[3].partition("/")[2]) if len(running) > 3 else 0
    maximum = int(_text(root / "proc/sys/kernel/pid_max") or 32768)
    return Pressure(meminfo(root).get("MemAvailable", 0), read_disk(path), processes, maximum)


def may_lower_oom_score(root: Path = Path("/")) -> bool:
    """Whether the kernel lets this process give others a lower score than its own."""
    for line in _text(root / "proc/self/status").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> CAP_SYS_RESOURCE & 1)
    return False


def own_oom_score(root: Path = Path("/")) -> int:
    return int(_text(root / "proc/self/oom_score_adj") or 0)
