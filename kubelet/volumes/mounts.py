"""The mount calls of the kernel, and the list of what is mounted. No shell, no mount helper."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 4096, 16384, 1 << 18
MNT_DETACH, UMOUNT_NOFOLLOW = 2, 8

_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: Path, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Raises OSError as the kernel says."""
    result = _libc.mount(
        source.encode(), str(target).encode(), kind.encode() or None, ctypes.c_ulong(flags), options.encode() or None
    )
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def unmount(target: Path) -> None:
    if _libc.umount2(str(target).encode(), UMOUNT_NOFOLLOW) == 0:
        return
    number = ctypes.get_errno()
    # Busy means that a process still looks inside: detach, so that it goes with the last of them.
    if _libc.umount2(str(target).encode(), UMOUNT_NOFOLLOW | MNT_DETACH) != 0:
        raise OSError(number, os.strerror(number), str(target))


def mount_tmpfs(target: Path, *, size_bytes: int | None = None) -> None:
    mount("tmpfs", target, "tmpfs", options="" if size_bytes is None else f"size={size_bytes}")


def bind(source: str, target: Path) -> None:
    """With everything mounted below the source."""
    mount(source, target, flags=MS_BIND | MS_REC)


def mounts_below(root: Path) -> list[Path]:
    """Mount points at or below ``root``, the deepest (and latest) first."""
    prefix = str(root)
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        for line in table:
            point = _unescape(line.split(" ", 5)[4])
            if point == prefix or point.startswith(prefix + "/"):
                found.append(Path(point))
    found.reverse()
    return sorted(found, key=lambda path: len(path.parts), reverse=True)


def is_mounted(target: Path) -> bool:
    return target in mounts_below(target)


def _unescape(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


def unmount_below(root: Path) -> None:
    for point in mounts_below(root):
        unmount(point)
