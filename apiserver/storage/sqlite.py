"""The embedded engine: one file, one process, durable when a write returns.

Everything that is queued is run in one transaction and shares one fsync: under load a commit carries dozens of writes,
alone it carries one. The statements run in the event loop (some 20 µs a write, memory only), and the COMMIT, which
writes and syncs, on a thread of its own; meanwhile the next batch gathers. Running the statements on the thread too is
several times slower when the loop is busy: sqlite3 lets go of the interpreter lock at every statement and has to queue
for it again. The loop learns of a commit in one step, in which watchers get their events before the writers their
answers. Reads run on a small pool of their own connections (WAL: they never wait for the writer).
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
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

BATCH_WRITES = 128  # bounds how long the loop is held up by one batch
SWEEP_REVISIONS = 100
READERS = 2

# A saturated event loop drops the interpreter lock for a microsecond at every poll, which wakes a waiting thread too
# late and restarts its patience: with Python's 5 ms a COMMIT can starve for a second (measured: 35 writes/s instead of
# 19,000). A thread whose patience is shorter than a turn of the loop gets its turn.
SWITCH_SECONDS = 20e-6

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
        self._queue: deque[Write] = deque()
        self._idle = asyncio.Event()  # not set while a batch is on its way; then the committer owns the connection
        self._idle.set()
        self._db: sqlite3.Connection | None = None
        self._transaction: Transaction | None = None  # None before start and after close
        self._committer: ThreadPoolExecutor | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sweeping = asyncio.Lock()

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_SECONDS))
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock.acquire()
        try:
            connection = await asyncio.to_thread(open_database, self._path, quota_bytes=self._quota_bytes)
        except BaseException:
            self._lock.release()
            raise
        self._db = connection
        self._transaction = Transaction(connection)
        self._compacted = self._transaction.compact_revision
        self._hub.reset(self._transaction.revision)
        self._upkeep.load_deadlines(reads.read_deadlines(connection))
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="sqlite-read")
        self._committer = ThreadPoolExecutor(1, thread_name_prefix="sqlite-commit")
        self._upkeep.start("sqlite")

    async def close(self) -> None:
        await self._upkeep.stop()
        self._transaction = None  # no more writes; those under way are finished
        await self._idle.wait()
        if self._committer is not None:
            await asyncio.to_thread(self._committer.shutdown)
            self._committer = None
        if self._db is not None:
            await asyncio.to_thread(self._close_cleanly, self._db)
            self._db = None
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
        if self._transaction is None or self._loop is None:
            raise StorageUnavailable(f"{self._path} is closed")
        done: asyncio.Future[Any] = self._loop.create_future()
        self._queue.append(Write(kind, done, key, value, revision, expires_at))
        if self._idle.is_set():
            self._idle.clear()
            self._loop.call_soon(self._next_batch, self._transaction)  # whoever is ready in this turn joins
        return await done

    # the writer: one batch at a time

    def _next_batch(self, transaction: Transaction) -> None:
        """Run what is queued and hand the transaction over to the committing thread."""
        if not self._queue:
            self._idle.set()
            return
        assert self._db is not None
        assert self._committer is not None
        batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_WRITES))]
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for write in batch:
                transaction.apply(write)
            transaction.save_revision()
        except sqlite3.Error as error:
            self._committed(transaction, batch, error)
            return
        committing = self._committer.submit(self._db.execute, "COMMIT")
        committing.add_done_callback(lambda commit: self._report(transaction, batch, commit.exception()))

    def _report(self, transaction: Transaction, batch: Sequence[Write], error: BaseException | None) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._committed, transaction, batch, error)

    def _committed(self, transaction: Transaction, batch: Sequence[Write], error: BaseException | None) -> None:
        """All or nothing: after an error none of the batch has happened and every writer is told so."""
        if error is not None:
            failure = translated(error, self._path) if isinstance(error, sqlite3.Error) else StorageError(str(error))
            for write in batch:
                write.event = None
                write.outcome = failure
            self._roll_back(transaction)
        self._publish(batch)
        assert self._loop is not None
        self._loop.call_soon(self._next_batch, transaction)  # after the writers just woken, who may write again

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

    def _roll_back(self, transaction: Transaction) -> None:
        assert self._db is not None
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            transaction.reload()
        except sqlite3.Error:
            pass  # the next batch meets the same trouble and says so

    @staticmethod
    def _close_cleanly(db: sqlite3.Connection) -> None:
        try:
            db.execute("UPDATE meta SET value = 1 WHERE name = 'clean'")
        except sqlite3.Error:
            pass  # then the next start checks the file
        db.close()
