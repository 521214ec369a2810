"""Compact a database file that nobody serves: forget its history and give the room back.

A running server forgets by itself, every five minutes and in small steps, and its counters live in its memory: nobody
else may write then. So this takes the lock that the server takes, or says who has it.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from apiserver.storage.interface import StorageUnavailable
from apiserver.storage.sqlite_file import FileLock, connect, translated
from apiserver.storage.tools.source import open_read_only, owner_of


@dataclass(frozen=True, slots=True)
class Compaction:
    revision: int
    forgotten: int  # versions
    bytes_before: int
    bytes_after: int


def compact_file(path: Path) -> Compaction:
    open_read_only(path).close()  # that it is a store, before anything is written
    owner = owner_of(path)
    lock = FileLock(path)
    try:
        lock.acquire()
    except StorageUnavailable:
        raise StorageUnavailable(
            f"{path} is in use by process {owner or 'unknown'}, which compacts it every five minutes by itself;"
            " stop it to compact and shrink the file now"
        ) from None
    try:
        return _compact(path)
    except sqlite3.Error as error:
        raise translated(error, path) from error
    finally:
        lock.release()


def _compact(path: Path) -> Compaction:
    db = connect(path)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        before = path.stat().st_size
        db.execute("BEGIN IMMEDIATE")
        (revision,) = db.execute("SELECT value FROM meta WHERE name = 'revision'").fetchone()
        forgotten = forget_history(db, revision)
        db.execute("COMMIT")
        db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        db.close()
    return Compaction(revision, forgotten, before, path.stat().st_size)


def forget_history(db: sqlite3.Connection, revision: int) -> int:
    """Keep the newest version of every key and nothing else; readers from before ``revision`` start over."""
    gone = db.execute("DELETE FROM history WHERE revision NOT IN (SELECT revision FROM current)").rowcount
    db.execute("UPDATE meta SET value = ? WHERE name IN ('compact_revision', 'swept_revision')", (revision,))
    return gone
