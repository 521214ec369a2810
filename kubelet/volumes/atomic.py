"""Writes a table of files so that a reader sees all of the old or all of the new, never a mixture.

The files lie in a directory named by time; ``..data`` is a link to it, and each visible name a link through ``..data``.
Replacing the one link by rename changes everything at once. This is the layout that programs watch for.
"""

from __future__ import annotations

import os
import secrets
import shutil
from datetime import datetime
from pathlib import Path

from kubelet.volumes.errors import VolumeError
from kubelet.volumes.payload import Item, Payload

DATA = "..data"
DATA_NEW = "..data_tmp"


def write_payload(directory: Path, payload: Payload, now: datetime, *, fs_group: int | None = None) -> bool:
    """True when something changed. ``fs_group`` owns the files and may read them."""
    for path in payload:
        check_path(path)
    current = directory / DATA
    if current.is_symlink() and _holds(current, payload, fs_group):
        return False
    stamp = f"..{now.strftime('%Y_%m_%d_%H_%M_%S')}.{secrets.randbelow(10**10):010d}"
    target = directory / stamp
    target.mkdir(mode=0o755)
    target.chmod(0o755)
    _write_files(target, payload, fs_group)
    old = os.readlink(current) if current.is_symlink() else None
    staging = directory / DATA_NEW
    staging.unlink(missing_ok=True)
    staging.symlink_to(stamp)
    staging.rename(current)
    _write_links(directory, payload)
    _remove_stale(directory, payload)
    if old:
        shutil.rmtree(directory / old, ignore_errors=True)
    return True


def check_path(path: str) -> None:
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or path.startswith("..") or not path:
        raise VolumeError(f"invalid path {path!r}: must be relative and must not contain '..'")


def _holds(current: Path, payload: Payload, fs_group: int | None) -> bool:
    root = current.resolve()
    found = {str(p.relative_to(root)) for p in root.rglob("*") if not p.is_dir()}
    if found != set(payload):
        return False
    return all(_same(root / path, item, fs_group) for path, item in payload.items())


def _same(path: Path, item: Item, fs_group: int | None) -> bool:
    status = path.stat()
    return (status.st_mode & 0o7777) == mode_for(item, fs_group) and path.read_bytes() == item.content


def mode_for(item: Item, fs_group: int | None) -> int:
    return item.mode if fs_group is None else item.mode | 0o440


def _write_files(target: Path, payload: Payload, fs_group: int | None) -> None:
    if fs_group is not None:
        os.chown(target, -1, fs_group)
        target.chmod(0o2755)
    for path, item in payload.items():
        file = target / path
        for parent in reversed(file.relative_to(target).parents):
            if str(parent) != "." and not (target / parent).exists():
                (target / parent).mkdir()
                (target / parent).chmod(0o755)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(item.content)
            os.fchown(descriptor, -1 if item.owner is None else item.owner, -1 if fs_group is None else fs_group)
            os.fchmod(descriptor, mode_for(item, fs_group))


def _write_links(directory: Path, payload: Payload) -> None:
    for name in {path.split("/")[0] for path in payload}:
        link = directory / name
        if not link.is_symlink():
            link.symlink_to(f"{DATA}/{name}")


def _remove_stale(directory: Path, payload: Payload) -> None:
    wanted = {path.split("/")[0] for path in payload}
    for entry in directory.iterdir():
        if entry.is_symlink() and not entry.name.startswith("..") and entry.name not in wanted:
            entry.unlink()
