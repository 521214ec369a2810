"""Reads: each in one read transaction, so that rows, revision and compaction belong together."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from apiserver.storage.interface import Compacted, FutureRevision, ListResult, Stored, StoreEvent
from apiserver.storage.keys import prefix_end

HISTORY_PAGE = 500

_NOW = "SELECT c.key, h.value, c.revision FROM current c JOIN history h ON h.revision = c.revision"
_THEN = (
    "SELECT h.key, h.value, h.revision FROM history h JOIN (SELECT max(revision) AS revision FROM history"
    " WHERE key >= ? AND (? = '' OR key < ?) AND revision <= ? GROUP BY key) n ON h.revision = n.revision"
    " WHERE NOT h.deleted ORDER BY h.key"
)


def read_key(db: sqlite3.Connection, key: str, revision: int) -> Stored | None:
    with _snapshot(db, revision):
        if not revision:
            row = db.execute(f"{_NOW} WHERE c.key = ?", (key,)).fetchone()
            return Stored(*row) if row else None
        row = db.execute(
            "SELECT key, value, revision, deleted FROM history WHERE key = ? AND revision <= ?"
            " ORDER BY revision DESC LIMIT 1",
            (key, revision),
        ).fetchone()
        return Stored(*row[:3]) if row and not row[3] else None


def read_list(db: sqlite3.Connection, prefix: str, limit: int, start_key: str, revision: int) -> ListResult:
    start, end = max(prefix, start_key), prefix_end(prefix)
    with _snapshot(db, revision) as newest:
        if revision:
            found = [Stored(*row) for row in db.execute(_THEN, (start, end, end, revision))]
            items = found[:limit] if limit else found
            return ListResult(items, revision, len(found) - len(items))
        where = " WHERE c.key >= ? AND (? = '' OR c.key < ?)"
        rows = db.execute(f"{_NOW}{where} ORDER BY c.key LIMIT ?", (start, end, end, limit or -1))
        items = [Stored(*row) for row in rows]
        remaining = 0
        if limit and len(items) == limit:
            (total,) = db.execute(f"SELECT count(*) FROM current c{where}", (start, end, end)).fetchone()
            remaining = total - limit
        return ListResult(items, newest, remaining)


def read_count(db: sqlite3.Connection, prefix: str) -> int:
    end = prefix_end(prefix)
    query = "SELECT count(*) FROM current WHERE key >= ? AND (? = '' OR key < ?)"
    (count,) = db.execute(query, (prefix, end, end)).fetchone()
    return int(count)


def read_history(db: sqlite3.Connection, prefix: str, after: int, upto: int) -> list[StoreEvent]:
    """The first page of events with after < revision <= upto."""
    end = prefix_end(prefix)
    with _snapshot(db, after):
        rows = db.execute(
            "SELECT h.revision, h.key, h.value, h.deleted, h.previous_revision, p.value FROM history h"
            " LEFT JOIN history p ON p.revision = h.previous_revision"
            " WHERE h.revision > ? AND h.revision <= ? AND h.key >= ? AND (? = '' OR h.key < ?)"
            " ORDER BY h.revision LIMIT ?",
            (after, upto, prefix, end, end, HISTORY_PAGE),
        )
        return [_event(*row) for row in rows]


def read_deadlines(db: sqlite3.Connection) -> list[tuple[float, str, int]]:
    return db.execute("SELECT expires_at, key, revision FROM current WHERE expires_at IS NOT NULL").fetchall()


def _event(revision: int, key: str, value: bytes, deleted: int, was: int, old: bytes | None) -> StoreEvent:
    if deleted:
        return StoreEvent("delete", key, old or b"", revision, old, was)
    return StoreEvent("update" if was else "create", key, value, revision, old, was)


@contextmanager
def _snapshot(db: sqlite3.Connection, revision: int) -> Iterator[int]:
    """A read transaction in which ``revision`` can be served; gives the newest revision."""
    db.execute("BEGIN")
    try:
        meta = dict(db.execute("SELECT name, value FROM meta"))
        if revision and revision < meta["compact_revision"]:
            raise Compacted(revision, meta["compact_revision"])
        if revision > meta["revision"]:
            raise FutureRevision(revision, meta["revision"])
        yield meta["revision"]
    finally:
        db.execute("COMMIT")
