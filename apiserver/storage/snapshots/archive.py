"""The file that a snapshot is: a gzipped tar whose first member says what the others must be.

``manifest.json`` names every file with size and SHA-256, so that a listing reads one member and a restore knows before
it touches anything whether all is there and whole. Only names of the manifest are taken out, and only plain files: an
archive from elsewhere cannot write outside the folder it is unpacked to. It holds the keys of the cluster: mode 0600.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

from apiserver.storage.interface import StorageError

FORMAT = 1
MANIFEST = "manifest.json"
SUFFIX = ".tar.gz"
_MANIFEST_LIMIT = 1 << 20
_CHUNK = 1 << 20


class SnapshotError(StorageError):
    """A snapshot that cannot be made, read or restored, in a sentence for the person who asked."""


@dataclass(frozen=True, slots=True)
class Member:
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    created_at: str  # RFC 3339, UTC
    cluster: str
    revision: int
    version: str  # of the program that wrote it
    files: dict[str, Member] = field(default_factory=dict)
    format: int = FORMAT


def write_archive(path: Path, manifest: Manifest, folder: Path) -> None:
    """Under another name until it is whole and on the disk."""
    partial = path.with_name(f".{path.name}.part")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as raw:
            with tarfile.open(fileobj=raw, mode="w:gz", compresslevel=3) as archive:
                head = json.dumps(asdict(manifest), indent=1).encode()
                archive.addfile(_entry(MANIFEST, len(head)), io.BytesIO(head))
                for name, member in manifest.files.items():
                    with (folder / name).open("rb") as content:
                        archive.addfile(_entry(name, member.size), content)
            raw.flush()
            os.fsync(raw.fileno())
        partial.rename(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def describe(folder: Path) -> dict[str, Member]:
    """Every file below ``folder`` by its relative name."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _member(path) for path in found}


def read_manifest(path: Path) -> Manifest:
    with _reading(path) as archive:
        return _first(path, archive)


def unpack(path: Path, folder: Path) -> Manifest:
    """Everything into ``folder``, checked. On any doubt an exception, and what is in ``folder`` is not to be used."""
    with _reading(path) as archive:
        manifest = _first(path, archive)
        seen = set()
        for entry in archive:
            if entry.name == MANIFEST:
                continue
            if entry.name not in manifest.files or not entry.isreg() or entry.name in seen:
                raise SnapshotError(f"{path} holds {entry.name!r}, which its manifest does not name")
            seen.add(entry.name)
            target = folder / entry.name
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            content = archive.extractfile(entry)
            assert content is not None  # a plain file has one
            _copy(content, target)
            if _member(target) != manifest.files[entry.name]:
                raise SnapshotError(f"{path} is damaged: {entry.name} is not what was saved")
        missing = sorted(set(manifest.files) - seen)
        if missing:
            raise SnapshotError(f"{path} is damaged: {missing[0]} is missing")
        return manifest


def sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _reading(path: Path) -> Iterator[tarfile.TarFile]:
    if not path.is_file():
        raise SnapshotError(f"there is no snapshot {path}")
    try:
        with tarfile.open(path, mode="r|gz") as archive:
            yield archive
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise SnapshotError(f"{path} is damaged or no snapshot: {error}") from error


def _first(path: Path, archive: tarfile.TarFile) -> Manifest:
    entry = archive.next()
    if entry is None or entry.name != MANIFEST or not entry.isreg() or entry.size > _MANIFEST_LIMIT:
        raise SnapshotError(f"{path} is no snapshot: it does not begin with a manifest")
    content = archive.extractfile(entry)
    assert content is not None
    try:
        said: dict[str, Any] = json.loads(content.read())
        files = {name: Member(**member) for name, member in said.pop("files").items()}
        manifest = Manifest(**said, files=files)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise SnapshotError(f"{path} is no snapshot that this version reads: {error}") from error
    if manifest.format != FORMAT:
        raise SnapshotError(f"{path} has format {manifest.format}, this version reads {FORMAT}")
    for name in files:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise SnapshotError(f"{path} names {name!r}, which is outside of a home")
    return manifest


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    return entry


def _copy(content: IO[bytes], target: Path) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        while chunk := content.read(_CHUNK):
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def _member(path: Path) -> Member:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Member(path.stat().st_size, digest)
