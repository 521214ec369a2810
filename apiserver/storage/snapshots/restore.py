"""Put a snapshot into a home that no server uses, with what was there kept aside.

Revisions that were given out after the snapshot was saved are never given out again: clients remember them. So the
counter is moved far ahead, and history begins there: a client that goes on from a revision of the lost time is told to
start over instead of being shown another history.
"""

from __future__ import annotations

import sqlite3
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from apiserver.storage.interface import StorageUnavailable
from apiserver.storage.snapshots.archive import Manifest, SnapshotError, sync_directory, unpack
from apiserver.storage.snapshots.save import DATABASE, SPEC
from apiserver.storage.sqlite_file import FileLock
from apiserver.storage.tools.compaction import forget_history
from apiserver.storage.tools.source import holder_of, open_read_only, owner_of

REVISIONS_AHEAD = 1_000_000_000  # more than a store writes in a day without a pause


@dataclass(frozen=True, slots=True)
class Restored:
    manifest: Manifest
    revision: int
    aside: Path | None  # where the old data is


def restore(archive: Path, home: Path, now: datetime) -> Restored:
    """Everything is unpacked, checked and made ready beside the home before the home is touched."""
    _refuse_running(home)
    made = not home.exists()
    (home / "db").mkdir(mode=0o700, parents=True, exist_ok=True)
    if made:
        home.chmod(0o700)
    lock = FileLock(home / DATABASE)
    try:
        lock.acquire()
    except StorageUnavailable:
        raise SnapshotError(_in_use(home, owner_of(home / DATABASE))) from None
    try:
        with tempfile.TemporaryDirectory(prefix=".restoring-", dir=home) as staging:
            folder = Path(staging)
            manifest = unpack(archive, folder)
            if not (folder / DATABASE).is_file():
                raise SnapshotError(f"{archive} has no database")
            revision = _move_ahead(folder / DATABASE)
            aside = _set_aside(home, now)
            _put(folder, home)
        return Restored(manifest, revision, aside)
    finally:
        lock.release()


def _refuse_running(home: Path) -> None:
    for holder in (owner_of(home / DATABASE), holder_of(home / "run" / "supervisor.lock")):
        if holder:
            raise SnapshotError(_in_use(home, holder))


def _in_use(home: Path, holder: int) -> str:
    return (
        f"{home} is in use by process {holder}: stop the server first, or give another --home"
        " (`navarch down --keep-data` stops a local cluster)"
    )


def _move_ahead(database: Path) -> int:
    open_read_only(database).close()  # of a format that this version serves
    db = sqlite3.connect(database, isolation_level=None)
    try:
        db.execute("BEGIN IMMEDIATE")
        ((revision,),) = db.execute("SELECT value FROM meta WHERE name = 'revision'").fetchall()
        revision += REVISIONS_AHEAD
        db.execute("UPDATE meta SET value = ? WHERE name = 'revision'", (revision,))
        forget_history(db, revision)
        db.execute("COMMIT")
    except sqlite3.Error as error:
        raise SnapshotError(f"the database of the snapshot cannot be used: {error}") from error
    finally:
        db.close()
    return int(revision)


def _set_aside(home: Path, now: datetime) -> Path | None:
    """Only what is replaced, and the kubeconfigs: they may belong to another authority and are made anew."""
    names = [str(DATABASE) + suffix for suffix in ("", "-wal", "-shm")] + ["pki", "kubeconfig"]
    present = [name for name in names if (home / name).exists()]
    if not present:
        return None
    aside = home / f"before-restore-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    (aside / "db").mkdir(mode=0o700, parents=True)
    aside.chmod(0o700)
    for name in present:
        (home / name).rename(aside / name)
    return aside


def _put(folder: Path, home: Path) -> None:
    """The database last: a home without one has visibly not been restored."""
    if (folder / "pki").is_dir():
        (folder / "pki").rename(home / "pki")
    if (folder / SPEC).is_file() and not (home / SPEC).exists():
        (folder / SPEC).rename(home / SPEC)
    (folder / DATABASE).rename(home / DATABASE)
    sync_directory(home / "db")
    sync_directory(home)
