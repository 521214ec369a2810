"""The database file: its format, its lock, and what is checked before it is trusted.

Two tables. ``history`` has every write by revision; ``current`` says which revision of a key is the newest. A write
inserts into one and points the other at it, so a deletion is a row like any other, and history ends where compaction
says.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path

from apiserver.storage.interface import StorageError, StorageFull, StorageUnavailable

APPLICATION_ID = 0x4E415643  # "NAVC"
FORMAT = 1
FIRST_REVISION = 1  # an empty store lists at 1: "0" means "any" to clients
CHECK_LIMIT_BYTES = 128 << 20  # after an unclean end a larger file is not read through at start

SCHEMA = f"""
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE history (
    revision INTEGER PRIMARY KEY, key TEXT NOT NULL, value BLOB NOT NULL, deleted INTEGER NOT NULL,
    create_revision INTEGER NOT NULL, previous_revision INTEGER NOT NULL, expires_at REAL);
CREATE INDEX history_by_key ON history (key, revision);
CREATE TABLE current (key TEXT PRIMARY KEY, revision INTEGER NOT NULL, expires_at REAL) WITHOUT ROWID;
INSERT INTO meta VALUES ('revision', {FIRST_REVISION}), ('compact_revision', 0), ('swept_revision', 0), ('clean', 1);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT};
"""


class FileLock:
    """One process at a time. The lock is the kernel's, so it ends with its holder however that ends."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")
        self._fd = -1

    def acquire(self) -> None:
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(fd, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(fd)
            raise StorageUnavailable(
                f"{self._path.with_suffix('')} is in use by process {owner}: stop it or choose another directory"
            ) from None
        os.ftruncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())
        self._fd = fd

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def open_database(path: Path, *, quota_bytes: int = 0) -> sqlite3.Connection:
    """The writer's connection to an existing or new database. The caller holds the lock."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = connect(path)
    except OSError as error:
        raise StorageUnavailable(f"cannot open {path}: {error.strerror}") from error
    try:
        _prepare(connection, path, quota_bytes)
    except sqlite3.Error as error:
        connection.close()
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise StorageError(f"{path} is damaged ({error}): restore it from a backup or move it away") from error
        raise translated(error, path) from error
    except BaseException:
        connection.close()
        raise
    return connection


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    return connection


def translated(error: sqlite3.Error, path: Path) -> StorageError:
    """The engine's words for what SQLite says; the only place that knows its codes."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _disk_is_full(path)):
        return StorageFull(f"no space left to write {path}")
    return StorageUnavailable(f"{path}: {error}")


def _disk_is_full(path: Path) -> bool:
    free = os.statvfs(path.parent)
    return free.f_bavail * free.f_frsize < (1 << 20)


def _prepare(connection: sqlite3.Connection, path: Path, quota_bytes: int) -> None:
    if path.stat().st_size == 0:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript("BEGIN IMMEDIATE;" + SCHEMA + "COMMIT;")
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise StorageError(f"{path} is a database of another program: choose another directory")
    if version != FORMAT:
        raise StorageError(f"{path} has format {version}, this version reads {FORMAT}: use the version that wrote it")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA journal_size_limit = 16777216")
    connection.execute("PRAGMA cache_size = -8192")
    if quota_bytes:
        (page,) = connection.execute("PRAGMA page_size").fetchone()
        connection.execute(f"PRAGMA max_page_count = {max(quota_bytes // page, 1)}")
    meta = dict(connection.execute("SELECT name, value FROM meta"))
    _check(connection, path, meta)
    try:
        connection.execute("UPDATE meta SET value = 0 WHERE name = 'clean'")
    except sqlite3.Error as error:
        if not isinstance(translated(error, path), StorageFull):
            raise  # a full disk is no reason not to serve reads


def _check(connection: sqlite3.Connection, path: Path, meta: dict[str, int]) -> None:
    """After an unclean end read everything through (if it is not too much); always check the counters."""
    if not meta["clean"] and path.stat().st_size <= CHECK_LIMIT_BYTES:
        (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if said != "ok":
            said = " ".join(said.replace("***", " ").split())
            raise StorageError(f"{path} is damaged ({said}): restore it from a backup or move it away")
    (newest,) = connection.execute("SELECT ifnull(max(revision), 0) FROM history").fetchone()
    if newest > meta["revision"]:
        raise StorageError(
            f"{path} is damaged (write {newest} is newer than its counter {meta['revision']}): restore it from a backup"
        )
