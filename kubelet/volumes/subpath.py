"""A part of a volume as a mount of its own, safe against links that a container plants.

The path is resolved inside the volume and opened piece by piece without following links; what was opened, not what the
name says a moment later, is bind-mounted. Missing directories are made.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from kubelet.volumes import mounts
from kubelet.volumes.errors import VolumeError


def check_sub_path(sub_path: str) -> None:
    if sub_path.startswith("/"):
        raise VolumeError(f"subPath {sub_path!r} must not be an absolute path")
    if ".." in sub_path.split("/"):
        raise VolumeError(f"subPath {sub_path!r} must not contain '..'")


def bind_sub_path(volume: Path, sub_path: str, target: Path, *, mode: int = 0o750, gid: int | None = None) -> None:
    """Mounts ``volume/sub_path`` on ``target``. Raises `VolumeError`."""
    check_sub_path(sub_path)
    if mounts.is_mounted(target):
        # Of an earlier start of this container, which has ended: what it showed may have been replaced since.
        mounts.unmount(target)
    resolved = (volume / sub_path).resolve()
    root = volume.resolve()
    if resolved != root and root not in resolved.parents:
        raise VolumeError(f"subPath {sub_path!r} is not below the volume")
    descriptor = open_beneath(root, resolved.relative_to(root), mode=mode, gid=gid)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            target.mkdir(exist_ok=True)
        else:
            target.touch()
        mounts.bind(f"/proc/self/fd/{descriptor}", target)
    except OSError as error:
        raise VolumeError(f"failed to bind mount subPath {sub_path!r}: {error}") from error
    finally:
        os.close(descriptor)


def open_beneath(root: Path, relative: Path, *, mode: int, gid: int | None) -> int:
    """A descriptor of ``root/relative``, no link followed on the way; missing directories are made."""
    current = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        for part in relative.parts:
            try:
                deeper = os.open(part, os.O_PATH | os.O_NOFOLLOW, dir_fd=current)
            except FileNotFoundError:
                os.mkdir(part, mode, dir_fd=current)
                deeper = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=current)
                os.chmod(part, mode, dir_fd=current)
                if gid is not None:
                    os.chown(part, -1, gid, dir_fd=current)
            if stat.S_ISLNK(os.fstat(deeper).st_mode):
                os.close(deeper)
                raise VolumeError(f"subPath leads through the link {part!r}")
            os.close(current)
            current = deeper
    except OSError as error:
        os.close(current)
        raise VolumeError(f"subPath cannot be opened: {error}") from error
    except VolumeError:
        os.close(current)
        raise
    return current
