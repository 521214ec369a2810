"""Keys and certificates on disk: private files are never readable by others, not even for an instant.

Every write goes to a temporary file with its final mode and is renamed into place, so that a crash leaves either the
old file or the new one and a reader that starts meanwhile never sees half a PEM block.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

PRIVATE_MODE = 0o600
PUBLIC_MODE = 0o644


def write_private(path: Path, data: bytes) -> None:
    _write(path, data, PRIVATE_MODE)


def write_public(path: Path, data: bytes) -> None:
    _write(path, data, PUBLIC_MODE)


def ensure_private_directory(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)


def _write(path: Path, data: bytes, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)  # the umask may have taken bits from a public file
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
