"""Writes as they run inside a transaction of the writer: condition, row, pointer.

A write that loses its condition changes nothing and does not disturb the others of its batch.
"""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import dataclass
from typing import Any, Literal

from apiserver.storage.interface import FutureRevision, KeyExists, RevisionMismatch, Stored, StoreEvent


@dataclass(slots=True)
class Write:
    """What somebody waits for. ``outcome`` is a result or the exception to raise."""

    kind: Literal["create", "update", "delete", "compact", "sweep"]
    done: asyncio.Future[Any]
    key: str = ""
    value: bytes = b""
    revision: int = 0  # expected, or to compact to, or how many to sweep
    expires_at: float | None = None
    outcome: Any = None
    event: StoreEvent | None = None


class Transaction:
    """Applies writes on one connection and counts revisions. The caller begins and commits."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self.revision = 0
        self.compact_revision = 0
        self._saved = 0
        self.reload()

    def reload(self) -> None:
        """After a rollback: what is true is what the file says."""
        meta = dict(self._db.execute("SELECT name, value FROM meta"))
        self.revision = self._saved = meta["revision"]
        self.compact_revision = meta["compact_revision"]

    def apply(self, write: Write) -> None:
        match write.kind:
            case "create":
                self._create(write)
            case "update" | "delete":
                self._replace(write)
            case "compact":
                self._compact(write)
            case "sweep":
                write.outcome = self._sweep(write.revision)

    def save_revision(self) -> None:
        """Before the commit; a batch in which every condition was lost stays without a write and costs no fsync."""
        if self.revision != self._saved:
            self._db.execute("UPDATE meta SET value = ? WHERE name = 'revision'", (self.revision,))
            self._saved = self.revision

    def _create(self, write: Write) -> None:
        if self._db.execute("SELECT 1 FROM current WHERE key = ?", (write.key,)).fetchone():
            write.outcome = KeyExists(write.key)
            return
        revision = self.revision + 1
        self._db.execute(
            "INSERT INTO history VALUES (?, ?, ?, 0, ?, 0, ?)",
            (revision, write.key, write.value, revision, write.expires_at),
        )
        self._db.execute("INSERT INTO current VALUES (?, ?, ?)", (write.key, revision, write.expires_at))
        self.revision = write.outcome = revision
        write.event = StoreEvent("create", write.key, write.value, revision)

    def _replace(self, write: Write) -> None:
        row = self._db.execute(
            "SELECT c.revision, h.value, h.create_revision FROM current c JOIN history h ON h.revision = c.revision"
            " WHERE c.key = ?",
            (write.key,),
        ).fetchone()
        deleting = write.kind == "delete"
        unconditional = deleting and not write.revision
        if row is None or (row[0] != write.revision and not unconditional):
            write.outcome = RevisionMismatch(write.key, Stored(write.key, row[1], row[0]) if row else None)
            return
        was, old, created = row
        revision = self.revision + 1
        self._db.execute(
            "INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?)",
            (revision, write.key, b"" if deleting else write.value, deleting, created, was, write.expires_at),
        )
        if deleting:
            self._db.execute("DELETE FROM current WHERE key = ?", (write.key,))
            write.outcome = (Stored(write.key, old, was), revision)
            write.event = StoreEvent("delete", write.key, old, revision, old, was)
        else:
            self._db.execute(
                "UPDATE current SET revision = ?, expires_at = ? WHERE key = ?", (revision, write.expires_at, write.key)
            )
            write.outcome = revision
            write.event = StoreEvent("update", write.key, write.value, revision, old, was)
        self.revision = revision

    def _compact(self, write: Write) -> None:
        if write.revision > self.revision:
            write.outcome = FutureRevision(write.revision, self.revision)
        elif write.revision > self.compact_revision:
            self.compact_revision = write.revision
            self._db.execute("UPDATE meta SET value = ? WHERE name = 'compact_revision'", (write.revision,))

    def _sweep(self, count: int) -> bool:
        """Remove what the next ``count`` revisions below the compaction made superfluous. True when nothing is left.

        A row is superfluous once its successor is at or below the compaction, a tombstone once it is itself.
        """
        (swept,) = self._db.execute("SELECT value FROM meta WHERE name = 'swept_revision'").fetchone()
        upto = min(swept + count, self.compact_revision)
        if upto > swept:
            self._db.execute(
                "DELETE FROM history WHERE revision IN (SELECT previous_revision FROM history"
                " WHERE revision > ? AND revision <= ? AND previous_revision > 0)",
                (swept, upto),
            )
            self._db.execute("DELETE FROM history WHERE revision > ? AND revision <= ? AND deleted", (swept, upto))
            self._db.execute("UPDATE meta SET value = ? WHERE name = 'swept_revision'", (upto,))
        return bool(upto >= self.compact_revision)
