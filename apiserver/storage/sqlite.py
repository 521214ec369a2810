"""The embedded engine: one file, one process, durable when a write returns.

One thread owns the writing connection. It takes everything that is queued, runs it in one transaction and pays for one
fsync: under load a commit carries dozens of writes, alone it carries one. The event loop learns of a batch in one step,
in which watchers get their events before the writers their answers. Reads run on a small pool of their own connections
(WAL: they never wait for the writer).
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from apiserver.storage import sqlite_reads as reads
from apiserver.storage.feed import PROGRESS_SECONDS, Feed
from apiserver.storage.hub import EventHub
from apiserver.storage.interface import ListResult, StorageError, StorageUnavailable, Stored, StoreEvent
from apiserver.storage.sqlite_file import FileLock, connect, open_database, translated
from apiserver.storage.sqlite_writes import Transaction, Write
from apiserver.storage.upkeep import KEEP_SECONDS, Upkeep

BATCH_WRITES = 256  # bounds how long a reader of the loop can be held up by one batch
SWEEP_REVISIONS = 500
READERS = 2

P = ParamSpec("P")
T = TypeVar("T")


class SqliteStorage(Feed):
    def __init__(
        self, path: Path | str, *, keep_seconds: float = KEEP_SECONDS, quota_bytes: int = 0,
        clock: Callable[[], float] = time.time, progress_seconds: float = PROGRESS_SECONDS,
    ) -> None:
        super().__init__(EventHub(), progress_seconds=progress_seconds)
        self._path = Path(path)
        self._quota_bytes = quota_bytes
        self._clock = clock
        self._lock = FileLock(self._path)
        self._upkeep = Upkeep(self, clock, keep_seconds)
        self._writes: queue.SimpleQueue[Write | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sweeping = asyncio.Lock()

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock.acquire()
        try:
            connection = await asyncio.to_thread(open_database, self._path, quota_bytes=self._quota_bytes)
        except BaseException:
            self._lock.release()
            raise
        transaction = Transaction(connection)
        self._compacted = transaction.compact_revision
        self._hub.reset(transaction.revision)
        self._upkeep.load_deadlines(reads.read_deadlines(connection))
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="sqlite-read")
        self._thread = threading.Thread(
            target=self._run_writer, args=(connection, transaction), name="sqlite-write", daemon=True
        )
        self._thread.start()
        self._upkeep.start("sqlite")

    async def close(self) -> None:
        await self._upkeep.stop()
        thread, self._thread = self._thread, None
        if thread is not None:
            self._writes.put(None)
            await asyncio.to_thread(thread.join)
        if self._pool is not None:
            await asyncio.to_thread(self._pool.shutdown)
            self._pool = None
        while self._readers:
            self._readers.pop().close()
        self._lock.release()

    # reads

    async def get(self, key: str, *, revision: int = 0) -> Stored | None:
        return await self._read(reads.read_key, key, revision)

    async def list(self, prefix: str, *, limit: int = 0, start_key: str = "", revision: int = 0) -> ListResult:
        return await self._read(reads.read_list, prefix, limit, start_key, revision)

    async def count(self, prefix: str) -> int:
        return await self._read(reads.read_count, prefix)

    async def current_revision(self) -> int:
        return self._hub.revision  # every commit reaches the hub before its writer

    # writes

    async def create(self, key: str, value: bytes, *, ttl_seconds: int = 0) -> int:
        revision: int = await self._write("create", key, value, expires_at=self._expiry(ttl_seconds))
        if ttl_seconds:
            self._upkeep.add_deadline(key, revision, ttl_seconds)
        return revision

    async def update(self, key: str, value: bytes, *, expected_revision: int, ttl_seconds: int = 0) -> int:
        revision: int = await self._write("update", key, value, expected_revision, self._expiry(ttl_seconds))
        if ttl_seconds:
            self._upkeep.add_deadline(key, revision, ttl_seconds)
        return revision

    async def delete(self, key: str, *, expected_revision: int = 0) -> tuple[Stored, int]:
        deleted: tuple[Stored, int] = await self._write("delete", key, revision=expected_revision)
        return deleted

    async def compact(self, revision: int) -> None:
        await self._write("compact", revision=revision)
        self._compacted = max(self._compacted, revision)
        async with self._sweeping:
            while not await self._write("sweep", revision=SWEEP_REVISIONS):
                pass

    # inside

    def _expiry(self, ttl_seconds: int) -> float | None:
        return self._clock() + ttl_seconds if ttl_seconds else None

    async def _history(self, prefix: str, after: int, upto: int) -> AsyncIterator[StoreEvent]:
        while True:
            page = await self._read(reads.read_history, prefix, after, upto)
            for event in page:
                yield event
            if len(page) < reads.HISTORY_PAGE:
                return
            after = page[-1].revision

    async def _read(
        self, query: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        if self._pool is None or self._loop is None:
            raise StorageUnavailable(f"{self._path} is closed")
        return await self._loop.run_in_executor(self._pool, lambda: self._read_in_pool(query, *args, **kwargs))

    def _read_in_pool(
        self, query: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        try:
            db: sqlite3.Connection | None = getattr(self._local, "db", None)
            if db is None:
                db = self._local.db = connect(self._path, read_only=True)
                self._readers.append(db)
            return query(db, *args, **kwargs)
        except sqlite3.Error as error:
            raise translated(error, self._path) from error

    async def _write(
        self, kind: Any, key: str = "", value: bytes = b"", revision: int = 0, expires_at: float | None = None
    ) -> Any:
        if self._thread is None or self._loop is None:
            raise StorageUnavailable(f"{self._path} is closed")
        done: asyncio.Future[Any] = self._loop.create_future()
        self._writes.put(Write(kind, done, key, value, revision, expires_at))
        return await done

    def _publish(self, batch: Sequence[Write]) -> None:
        """In the loop: first everyone who watches, then everyone who wrote."""
        self._hub.publish([write.event for write in batch if write.event is not None])
        for write in batch:
            if write.done.done():
                continue  # its caller was cancelled; the write happened
            if isinstance(write.outcome, StorageError):
                write.done.set_exception(write.outcome)
            else:
                write.done.set_result(write.outcome)

    # the writer thread

    def _run_writer(self, db: sqlite3.Connection, transaction: Transaction) -> None:
        assert self._loop is not None
        running = True
        while running:
            batch, running = self._next_batch()
            if batch:
                self._commit(db, transaction, batch)
                self._loop.call_soon_threadsafe(self._publish, batch)
        try:
            db.execute("UPDATE meta SET value = 1 WHERE name = 'clean'")
        except sqlite3.Error:
            pass  # then the next start checks the file
        db.close()

    def _next_batch(self) -> tuple[Sequence[Write], bool]:
        """Everything that is queued; waits for the first."""
        batch: deque[Write] = deque()
        try:
            write = self._writes.get()
            while write is not None:
                batch.append(write)
                if len(batch) >= BATCH_WRITES:
                    return batch, True
                write = self._writes.get_nowait()
        except queue.Empty:
            return batch, True
        return batch, False

    def _commit(self, db: sqlite3.Connection, transaction: Transaction, batch: Sequence[Write]) -> None:
        """All or nothing: after an error none of the batch has happened and every writer is told so."""
        before = transaction.revision
        try:
            db.execute("BEGIN IMMEDIATE")
            for write in batch:
                transaction.apply(write)
            if transaction.revision != before:
                transaction.save_revision()
            db.execute("COMMIT")
        except sqlite3.Error as error:
            failure = translated(error, self._path)
            for write in batch:
                write.event = None
                write.outcome = failure
            self._roll_back(db, transaction)

    def _roll_back(self, db: sqlite3.Connection, transaction: Transaction) -> None:
        try:
            if db.in_transaction:
                db.execute("ROLLBACK")
            transaction.reload()
        except sqlite3.Error:
            pass  # the next batch meets the same trouble and says so
