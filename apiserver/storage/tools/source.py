"""One view of a store for all tools: objects now, a key at a revision, and the versions of a key that are kept.

Two sources give it: a database file and etcd. The file is opened read-only, so a tool never holds up the server, and
every walk over the objects is one snapshot. Looking at a file is synchronous on purpose: a command does one thing.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from apiserver.storage import sqlite_reads as reads
from apiserver.storage.interface import StorageError, StorageUnavailable, Stored
from apiserver.storage.sqlite_file import APPLICATION_ID, FORMAT, translated

ROOT = "/registry/"


@dataclass(frozen=True, slots=True)
class Version:
    """A key as one write left it. ``previous`` is the revision of the write before, 0 for a creation."""

    revision: int
    value: bytes
    deleted: bool = False
    previous: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    place: str
    engine: str
    revision: int
    oldest_revision: int  # the oldest that is still served
    size_bytes: int
    log_bytes: int = 0  # of a file: written, but not yet moved into it
    versions: int = 0  # kept in all, those of deleted keys too
    owner: int = 0  # the process that has the file open for writing


class Source(Protocol):
    def facts(self) -> Facts: ...
    def objects(self, prefix: str = ROOT) -> Iterator[Stored]: ...
    def get(self, key: str, revision: int = 0) -> Stored | None: ...
    def versions(self, key: str) -> list[Version]: ...
    def integrity(self) -> list[str]: ...
    def close(self) -> None: ...


class FileSource:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = open_read_only(path)

    def facts(self) -> Facts:
        meta = dict(self._query("SELECT name, value FROM meta"))
        ((versions, oldest),) = self._query("SELECT count(*), ifnull(min(revision), 0) FROM history")
        log = self._path.with_name(self._path.name + "-wal")
        return Facts(
            str(self._path), "sqlite", meta["revision"], meta["compact_revision"] or oldest or meta["revision"],
            self._path.stat().st_size, log.stat().st_size if log.exists() else 0, versions, owner_of(self._path),
        )  # fmt: skip

    def objects(self, prefix: str = ROOT) -> Iterator[Stored]:
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        statement = (
            "SELECT c.key, h.value, c.revision FROM current c JOIN history h ON h.revision = c.revision"
            " WHERE c.key >= ? AND c.key < ? ORDER BY c.key"
        )
        try:
            for row in self._db.execute(statement, (prefix, end)):
                yield Stored(*row)
        except sqlite3.Error as error:
            raise translated(error, self._path) from error

    def get(self, key: str, revision: int = 0) -> Stored | None:
        try:
            return reads.read_key(self._db, key, revision)
        except sqlite3.Error as error:
            raise translated(error, self._path) from error

    def versions(self, key: str) -> list[Version]:
        rows = self._query(
            "SELECT revision, value, deleted, previous_revision FROM history WHERE key = ? ORDER BY revision", (key,)
        )
        return [Version(revision, value, bool(deleted), previous) for revision, value, deleted, previous in rows]

    def integrity(self) -> list[str]:
        """What is wrong with the file itself, whatever is in it."""
        said = [str(row[0]) for row in self._query("PRAGMA quick_check(20)")]
        wrong = [" ".join(line.split()) for line in said if line != "ok"]
        lost = self._query(
            "SELECT c.key, c.revision FROM current c LEFT JOIN history h ON h.revision = c.revision AND h.key = c.key"
            " WHERE h.revision IS NULL OR h.deleted"
        )
        wrong += [f"{key} points to write {revision}, which is not there" for key, revision in lost]
        meta = dict(self._query("SELECT name, value FROM meta"))
        ((newest,),) = self._query("SELECT ifnull(max(revision), 0) FROM history")
        if newest > meta["revision"]:
            wrong.append(f"write {newest} is newer than the counter {meta['revision']}")
        return wrong

    def close(self) -> None:
        self._db.close()

    def _query(self, statement: str, arguments: tuple[object, ...] = ()) -> list[Any]:
        try:
            return self._db.execute(statement, arguments).fetchall()
        except sqlite3.Error as error:
            raise translated(error, self._path) from error


def open_read_only(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise StorageUnavailable(f"there is no store in {path}")
    try:
        db = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, isolation_level=None, timeout=10.0)
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise StorageError(f"{path} is damaged ({error}): restore a snapshot") from error
        raise translated(error, path) from error
    if application != APPLICATION_ID or version != FORMAT:
        db.close()
        raise StorageError(f"{path} is not a store that this version reads")
    return db


def owner_of(path: Path) -> int:
    """The process that has the database open for writing; 0 for nobody."""
    return holder_of(path.with_name(path.name + ".lock"))


def holder_of(lock_file: Path) -> int:
    """Who holds a lock; 0 for nobody. Asked of the kernel: trying the lock, even for an instant, could make a server
    that starts just then believe that another one runs."""
    try:
        lock = os.stat(lock_file)
        table = Path("/proc/locks").read_text()
    except OSError:
        return 0
    inode = f"{os.major(lock.st_dev):02x}:{os.minor(lock.st_dev):02x}:{lock.st_ino}"
    for line in table.splitlines():
        fields = line.split()
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[5] == inode:
            return max(int(fields[4]), 1)
    return 0
