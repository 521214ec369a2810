"""etcd as the store: the engine of clusters with several servers.

One watch over everything under the root feeds the hub, and the hub the watch caches of all resources: an event crosses
the wire once. etcd's own progress reports are not used: before 3.4.25 and 3.5.8 they can overtake events. Instead the
engine has a marker key beside the root, inside the watched range. Its write at the start makes the hub's first revision
the revision of an event; and if a reader waits for a revision that was made by a write elsewhere in etcd, another write
of the marker moves the stream past it, in order.

A lease serves one key: keys that share a lease are deleted under one revision, and then a watch that resumes from it
could miss some.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence

from apiserver.storage.etcd_client import EtcdClient
from apiserver.storage.etcd_events import compare, store_event, stored
from apiserver.storage.feed import PROGRESS_SECONDS, Feed
from apiserver.storage.hub import EventHub
from apiserver.storage.interface import (
    Compacted,
    FutureRevision,
    KeyExists,
    ListResult,
    RevisionMismatch,
    StorageError,
    StorageUnavailable,
    Stored,
    StoreEvent,
)
from apiserver.storage.keys import after, prefix_end
from apiserver.storage.upkeep import KEEP_SECONDS, Upkeep
from proto import etcd_pb2 as pb

LOG = logging.getLogger(__name__)

PAGE_KEYS = 2000  # a longer list is read in pages of one revision, so that decoding never holds the loop for long
START_SECONDS = 10.0
RETRY_SECONDS = 0.2
OWN_EVENT_SECONDS = 1.0  # how long a writer waits to see its own write come back


class EtcdStorage(Feed):
    def __init__(
        self, endpoints: Sequence[str], *, ca_file: str = "", cert_file: str = "", key_file: str = "",
        root: str = "/registry/", keep_seconds: float = KEEP_SECONDS, progress_seconds: float = PROGRESS_SECONDS,
    ) -> None:
        super().__init__(EventHub(nudge=self._write_marker), progress_seconds=progress_seconds)
        self._client = EtcdClient(endpoints, ca_file=ca_file, cert_file=cert_file, key_file=key_file)
        self._marker = root.rstrip("/").encode()
        self._end = prefix_end(root).encode()
        self._upkeep = Upkeep(self, time.time, keep_seconds)
        self._watching: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()  # the stream is open: what is written comes back through it
        self._next_read: asyncio.Task[int] | None = None

    async def start(self) -> None:
        await self._reach()
        self._watching = asyncio.create_task(self._run_watch(), name="etcd-watch")
        try:
            await asyncio.wait_for(self._connected.wait(), START_SECONDS)
        except TimeoutError:
            raise StorageUnavailable("etcd answers but does not open a watch") from None
        self._upkeep.start("etcd")

    async def _reach(self) -> None:
        """Both may be starting at the same time: be patient for a while."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return await self._restart_hub()
            except StorageUnavailable:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(RETRY_SECONDS)

    async def close(self) -> None:
        await self._upkeep.stop()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None
        await self._client.close()

    # reads

    async def get(self, key: str, *, revision: int = 0) -> Stored | None:
        response = await self._range(pb.RangeRequest(key=key.encode(), revision=revision))
        return stored(response.kvs[0]) if response.kvs else None

    async def list(self, prefix: str, *, limit: int = 0, start_key: str = "", revision: int = 0) -> ListResult:
        start, end = max(prefix, start_key), prefix_end(prefix).encode() or b"\0"
        items: list[Stored] = []
        while True:
            page = min(PAGE_KEYS, limit - len(items)) if limit else PAGE_KEYS
            request = pb.RangeRequest(key=start.encode() or b"\0", range_end=end, limit=page, revision=revision)
            response = await self._range(request)
            items.extend(map(stored, response.kvs))
            revision = revision or response.header.revision
            remaining = response.count - len(response.kvs)
            if not remaining or (limit and len(items) >= limit):
                return ListResult(items, revision, remaining)
            start = after(items[-1].key)

    async def count(self, prefix: str) -> int:
        end = prefix_end(prefix).encode() or b"\0"
        request = pb.RangeRequest(key=prefix.encode() or b"\0", range_end=end, count_only=True)
        return (await self._range(request)).count

    async def current_revision(self) -> int:
        """Linearizable. Callers that come while a read is under way share the next one: joining the one under way could
        miss a write that was acknowledged to them."""
        if self._next_read is None:
            self._next_read = asyncio.create_task(self._read_revision(), name="etcd-revision")
        return await asyncio.shield(self._next_read)

    async def _read_revision(self) -> int:
        await asyncio.sleep(0)  # everyone who is ready in this turn of the loop joins
        self._next_read = None
        request = pb.RangeRequest(key=self._marker, count_only=True)
        return (await self._range(request)).header.revision

    async def _range(self, request: pb.RangeRequest) -> pb.RangeResponse:
        try:
            return await self._client.range(request)
        except Compacted as error:
            raise Compacted(error.revision, max(error.compact_revision, self._compacted)) from error
        except FutureRevision as error:
            raise FutureRevision(error.revision, await self.current_revision()) from error

    # writes

    async def create(self, key: str, value: bytes, *, ttl_seconds: int = 0) -> int:
        response = await self._put_if(key, 0, value, ttl_seconds)
        if not response.succeeded:
            raise KeyExists(key)
        return await self._seen(response)

    async def update(self, key: str, value: bytes, *, expected_revision: int, ttl_seconds: int = 0) -> int:
        if expected_revision <= 0:
            raise RevisionMismatch(key, await self.get(key))
        response = await self._put_if(key, expected_revision, value, ttl_seconds)
        if not response.succeeded:
            raise _mismatch(key, response)
        return await self._seen(response)

    async def delete(self, key: str, *, expected_revision: int = 0) -> tuple[Stored, int]:
        name = key.encode()
        delete = pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=name, prev_kv=True))
        condition = compare(name, expected_revision, at_least_one=not expected_revision)
        request = pb.TxnRequest(compare=[condition], success=[delete], failure=[_read_op(name)])
        response = await self._client.txn(request)
        if not response.succeeded:
            raise _mismatch(key, response)
        gone = stored(response.responses[0].response_delete_range.prev_kvs[0])
        return gone, await self._seen(response)

    async def compact(self, revision: int) -> None:
        try:
            await self._client.compact(revision)
        except Compacted:
            pass  # somebody else did
        except FutureRevision as error:
            raise FutureRevision(revision, await self.current_revision()) from error
        self._compacted = max(self._compacted, revision)

    async def _put_if(self, key: str, revision: int, value: bytes, ttl_seconds: int) -> pb.TxnResponse:
        name = key.encode()
        lease = await self._client.grant_lease(ttl_seconds) if ttl_seconds else 0
        put = pb.RequestOp(request_put=pb.PutRequest(key=name, value=value, lease=lease))
        failure = [_read_op(name)] if revision else []
        request = pb.TxnRequest(compare=[compare(name, revision)], success=[put], failure=failure)
        return await self._client.txn(request)

    async def _seen(self, response: pb.TxnResponse) -> int:
        """The revision of a write, once the hub has its event: then this process reads its own writes. When the stream
        is broken the writer is not held up by it."""
        revision: int = response.header.revision
        if revision > self._hub.revision and self._connected.is_set():
            try:
                await self._hub.wait(revision, OWN_EVENT_SECONDS, nudge=False)
            except FutureRevision:
                LOG.warning("etcd acknowledged revision %d but has not sent its event yet", revision)
        return revision

    # the stream

    async def _write_marker(self) -> None:
        await self._client.put(self._marker, b"")

    async def _restart_hub(self) -> None:
        self._hub.reset(await self._client.put(self._marker, b""))

    async def _run_watch(self) -> None:
        while True:
            try:
                async for response in self._client.watch(self._marker, self._end, self._hub.revision + 1):
                    self._connected.set()
                    self._publish(response)
            except Compacted as error:
                LOG.warning("history was compacted while etcd was out of reach: every watch starts over")
                await self._start_over(error)
            except StorageError as error:
                LOG.warning("the watch on etcd broke: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                LOG.exception("the watch on etcd failed")  # without it every cache would silently grow old
                await asyncio.sleep(RETRY_SECONDS)
            finally:
                self._connected.clear()

    async def _start_over(self, error: Compacted) -> None:
        try:
            await self._restart_hub()
            self._compacted = max(self._compacted, error.compact_revision)
            self._hub.lose_all(error)
        except StorageError:
            await asyncio.sleep(RETRY_SECONDS)

    def _publish(self, response: pb.WatchResponse) -> None:
        events = [store_event(event) for event in response.events if event.kv.key != self._marker]
        if events:
            self._hub.publish(events)
        if response.events:
            self._hub.advance(response.events[-1].kv.mod_revision)

    async def _history(self, prefix: str, after: int, upto: int) -> AsyncIterator[StoreEvent]:
        """A watch of its own, over everything: the event at ``upto`` may be under another prefix, and ends it."""
        stream = self._client.watch(self._marker, self._end, after + 1)
        try:
            async for response in stream:
                if response.created:
                    # The event of the compacted revision itself may be gone; only a read tells.
                    await self._range(pb.RangeRequest(key=self._marker, revision=after, count_only=True))
                for event in response.events:
                    if event.kv.mod_revision > upto:
                        return
                    if event.kv.key != self._marker and event.kv.key.startswith(prefix.encode()):
                        yield store_event(event)
                if response.events and response.events[-1].kv.mod_revision >= upto:
                    return
        finally:
            await stream.aclose()  # type: ignore[attr-defined]


def _read_op(key: bytes) -> pb.RequestOp:
    return pb.RequestOp(request_range=pb.RangeRequest(key=key))


def _mismatch(key: str, response: pb.TxnResponse) -> RevisionMismatch:
    found = response.responses[0].response_range.kvs
    return RevisionMismatch(key, stored(found[0]) if found else None)
