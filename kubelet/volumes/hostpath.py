"""Paths of the machine, checked against the type that the pod names."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

from kubelet.volumes.errors import VolumeError

_CHECKS = {
    "Directory": (stat.S_ISDIR, "a directory"),
    "DirectoryOrCreate": (stat.S_ISDIR, "a directory"),
    "File": (stat.S_ISREG, "a file"),
    "FileOrCreate": (stat.S_ISREG, "a file"),
    "Socket": (stat.S_ISSOCK, "a socket file"),
    "CharDevice": (stat.S_ISCHR, "a character device"),
    "BlockDevice": (stat.S_ISBLK, "a block device"),
}


def prepare_host_path(source: dict[str, Any]) -> Path:
    """The path, made if its type says so. Raises `VolumeError`."""
    path, kind = Path(source["path"]), source.get("type") or ""
    if not kind:
        return path
    if kind not in _CHECKS:
        raise VolumeError(f"unknown hostPath type {kind}")
    check, words = _CHECKS[kind]
    if not path.exists():
        if kind == "DirectoryOrCreate":
            path.mkdir(mode=0o755, parents=True)
        elif kind == "FileOrCreate":
            path.touch(mode=0o644)
    try:
        good = check(path.stat().st_mode)
    except OSError:
        good = False
    if not good:
        raise VolumeError(f"hostPath type check failed: {path} is not {words}")
    return path
