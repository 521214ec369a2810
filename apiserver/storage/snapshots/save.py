"""Save a home while its server works; list and prune what was saved."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from apiserver.storage.snapshots.archive import SUFFIX, Manifest, SnapshotError, describe, read_manifest, write_archive
from apiserver.storage.sqlite_file import translated
from apiserver.storage.tools.source import open_read_only

DATABASE = Path("db") / "navarch.db"
SPEC = "cluster.json"  # which machines a local cluster has


@dataclass(frozen=True, slots=True)
class Snapshot:
    path: Path
    size_bytes: int
    manifest: Manifest | None  # None: it cannot be read
    problem: str = ""

    @property
    def created_at(self) -> datetime:
        if self.manifest is not None:
            return datetime.fromisoformat(self.manifest.created_at)
        return datetime.fromtimestamp(self.path.stat().st_mtime, UTC)


def save(home: Path, directory: Path, *, cluster: str, version: str, now: datetime) -> Snapshot:
    """One consistent state of the database (SQLite's own backup reads one snapshot of it, while writes go on beside)
    and the keys, which do not change but for renewals. Kubeconfigs are left out: they are made anew from the keys."""
    database = home / DATABASE
    if not database.is_file():
        raise SnapshotError(f"there is no database in {home / 'db'}: a cluster on etcd is saved with etcd's own snapshot")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".saving-", dir=directory) as staging:
        folder = Path(staging)
        (folder / DATABASE).parent.mkdir(mode=0o700)
        revision = _copy_database(database, folder / DATABASE)
        if (home / "pki").is_dir():
            shutil.copytree(home / "pki", folder / "pki")
        if (home / SPEC).is_file():
            shutil.copy(home / SPEC, folder / SPEC)
        manifest = Manifest(now.isoformat(timespec="seconds"), cluster, revision, version, describe(folder))
        path = _free_name(directory, cluster, now)
        write_archive(path, manifest, folder)
    return Snapshot(path, path.stat().st_size, manifest)


def list_snapshots(directory: Path) -> list[Snapshot]:
    """The newest first. One that cannot be read is listed with the reason."""
    found = []
    for path in directory.glob(f"*{SUFFIX}"):
        if path.name.startswith("."):
            continue
        try:
            found.append(Snapshot(path, path.stat().st_size, read_manifest(path)))
        except SnapshotError as error:
            found.append(Snapshot(path, path.stat().st_size, None, str(error)))
    return sorted(found, key=lambda snapshot: (snapshot.created_at, snapshot.path.name), reverse=True)


def prune(directory: Path, keep: int) -> list[Snapshot]:
    """Remove all but the newest ``keep`` that can be read. What cannot be read is not counted and not touched."""
    readable = [snapshot for snapshot in list_snapshots(directory) if snapshot.manifest is not None]
    for snapshot in readable[keep:]:
        snapshot.path.unlink()
    return readable[keep:]


def _copy_database(source: Path, target: Path) -> int:
    reader = open_read_only(source)
    try:
        copy = sqlite3.connect(target)
        try:
            reader.backup(copy)  # all pages in one step: another process's writes do not make it start over
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
            ((said,),) = copy.execute("PRAGMA quick_check(1)").fetchall()
            if said != "ok":
                raise SnapshotError(f"{source} is damaged ({' '.join(said.split())}): nothing was saved")
            ((revision,),) = copy.execute("SELECT value FROM meta WHERE name = 'revision'").fetchall()
        finally:
            copy.close()
    except sqlite3.Error as error:
        raise translated(error, source) from error
    finally:
        reader.close()
    return int(revision)


def _free_name(directory: Path, cluster: str, now: datetime) -> Path:
    stem = f"{cluster}-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    for number in range(1, 1000):
        path = directory / f"{stem}{f'-{number}' if number > 1 else ''}{SUFFIX}"
        if not path.exists():
            return path
    raise SnapshotError(f"{directory} has a thousand snapshots of this second")
