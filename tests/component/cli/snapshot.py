"""What a machine has that a cluster may leave behind, as sets that can be compared."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, fields
from pathlib import Path

from cli.local.power import cgroup_roots


@dataclass(frozen=True)
class Snapshot:
    """Only what bears the cluster's name or lies in its home: others may be at work on the same machine."""

    processes: frozenset[str]
    namespaces: frozenset[str]
    mounts: frozenset[str]
    cgroups: frozenset[str]
    tables: frozenset[str]
    links: frozenset[str]
    files: frozenset[str]

    def __str__(self) -> str:
        return "\n".join(f"{f.name}: {sorted(getattr(self, f.name))}" for f in fields(self) if getattr(self, f.name))


NOTHING = Snapshot(*(frozenset() for _ in fields(Snapshot)))


def take(cluster: str, home: Path) -> Snapshot:
    names = (f"nv-{cluster}", str(home), f"navarch/{cluster}")

    def ours(lines: list[str]) -> frozenset[str]:
        return frozenset(line for line in lines if any(name in line for name in names))

    cgroups = [str(root / "navarch" / cluster) for root in cgroup_roots() if (root / "navarch" / cluster).exists()]
    outside = [*Path("/run/netns").glob(f"nv-{cluster}*"), *Path("/run/navarch").glob(f"{cluster}.*")]
    return Snapshot(
        processes=ours(_processes()),
        namespaces=ours(_output("ip", "netns", "list")),
        mounts=ours(Path("/proc/self/mountinfo").read_text().splitlines()),
        cgroups=frozenset(cgroups),
        tables=frozenset(_output("nft", "list", "tables")),
        links=frozenset(line.split(":")[1].strip() for line in _output("ip", "-o", "link")),
        files=frozenset(map(str, outside)) | frozenset([str(home)] if home.exists() else []),
    )  # fmt: skip


def shared_files(home: Path) -> list[Path]:
    """What the cluster's containers have in folders that all containerds of the machine share."""
    sockets = [
        Path(path.read_text().strip().removeprefix("unix://"))
        for path in home.glob("nodes/*/containerd/state/io.containerd.runtime.v2.task/*/*/address")
    ]
    sandboxes = home.glob("nodes/*/containerd/root/io.containerd.grpc.v1.cri/sandboxes/*")
    results = [path for box in sandboxes for path in Path("/var/lib/cni/results").glob(f"*-{box.name}-*")]
    return [path for path in sockets + results if path.exists()]


def _processes() -> list[str]:
    """Command lines; our own test run has the home in none of its arguments."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdecimal() and int(entry) != os.getpid():
            try:
                found.append(Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue
    return found


def _output(*command: str) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
