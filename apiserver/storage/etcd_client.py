"""The wire to etcd: channels, calls, and the one place where gRPC's errors become ours.

Several endpoints are tried in turn: one channel is in use until it fails. A read is repeated on the next endpoint. A
write is repeated only if it cannot have been sent; otherwise its outcome is unknown and the caller is told so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import grpc
import grpc.aio

from apiserver.storage.interface import (
    Compacted,
    FutureRevision,
    StorageError,
    StorageFull,
    StorageUnavailable,
)
from proto import etcd_pb2 as pb

CALL_SECONDS = 10.0
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.use_local_subchannel_pool", 1),
]
_RESPONSES: dict[str, Any] = {
    "/etcdserverpb.KV/Range": pb.RangeResponse,
    "/etcdserverpb.KV/Txn": pb.TxnResponse,
    "/etcdserverpb.KV/Put": pb.PutResponse,
    "/etcdserverpb.KV/Compact": pb.CompactionResponse,
    "/etcdserverpb.Lease/LeaseGrant": pb.LeaseGrantResponse,
}
_WATCH = "/etcdserverpb.Watch/Watch"

R = TypeVar("R")


class EtcdClient:
    def __init__(
        self, endpoints: Sequence[str], *, ca_file: str = "", cert_file: str = "", key_file: str = "",
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        if not endpoints:
            raise ValueError("etcd needs at least one endpoint")
        self.endpoints = list(endpoints)
        self._tls = (ca_file, cert_file, key_file)
        self._call_seconds = call_seconds
        self._chosen = 0
        self._channel: grpc.aio.Channel | None = None
        self._methods: dict[str, Any] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def range(self, request: pb.RangeRequest) -> pb.RangeResponse:
        response: pb.RangeResponse = await self._read("/etcdserverpb.KV/Range", request, request.revision)
        return response

    async def txn(self, request: pb.TxnRequest) -> pb.TxnResponse:
        response: pb.TxnResponse = await self._call("/etcdserverpb.KV/Txn", request, repeatable=False)
        return response

    async def put(self, key: bytes, value: bytes) -> int:
        """Unconditional and repeatable: for the marker only."""
        request = pb.PutRequest(key=key, value=value)
        response: pb.PutResponse = await self._call("/etcdserverpb.KV/Put", request, repeatable=True)
        return response.header.revision

    async def compact(self, revision: int) -> None:
        request = pb.CompactionRequest(revision=revision)
        await self._read("/etcdserverpb.KV/Compact", request, revision)

    async def grant_lease(self, ttl_seconds: int) -> int:
        request = pb.LeaseGrantRequest(TTL=ttl_seconds)
        response: pb.LeaseGrantResponse = await self._call("/etcdserverpb.Lease/LeaseGrant", request, repeatable=True)
        return response.ID

    async def watch(self, start: bytes, end: bytes, revision: int) -> AsyncIterator[pb.WatchResponse]:
        """Responses from ``revision`` (inclusive) on, the "created" one first. Ends only by an error."""
        create = pb.WatchCreateRequest(key=start, range_end=end, start_revision=revision, prev_kv=True)
        channel = self._connect()
        call = channel.stream_stream(
            _WATCH,
            request_serializer=pb.WatchRequest.SerializeToString,
            response_deserializer=pb.WatchResponse.FromString,
        )(metadata=(("hasleader", "true"),))
        try:
            await call.write(pb.WatchRequest(create_request=create))
            async for response in call:
                if response.canceled:
                    if response.compact_revision:
                        raise Compacted(revision, response.compact_revision)
                    raise StorageUnavailable(f"etcd ended the watch: {response.cancel_reason}")
                yield response
            raise StorageUnavailable("etcd closed the watch")
        except grpc.aio.AioRpcError as error:
            self._next_endpoint(channel)
            raise self._translated(error, revision) from error
        except asyncio.InvalidStateError as error:
            raise StorageUnavailable("etcd closed the watch") from error
        finally:
            call.cancel()

    async def close(self) -> None:
        channel, self._channel = self._channel, None
        self._methods.clear()
        if channel is not None:
            await channel.close()
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _read(self, method: str, request: Any, revision: int) -> Any:
        return await self._call(method, request, repeatable=True, revision=revision)

    async def _call(self, method: str, request: Any, *, repeatable: bool, revision: int = 0) -> Any:
        """Once per endpoint at most."""
        for attempts_left in range(len(self.endpoints) - 1, -1, -1):
            channel = self._connect()
            try:
                return await self._method(channel, method)(request, timeout=self._call_seconds)
            except grpc.aio.AioRpcError as error:
                failure = self._translated(error, revision)
                if isinstance(failure, StorageUnavailable):
                    self._next_endpoint(channel)
                    if attempts_left and (repeatable or _was_not_sent(error)):
                        continue
                raise failure from error
            except asyncio.InvalidStateError as error:
                raise StorageUnavailable("the connection to etcd was closed") from error
        raise AssertionError("unreachable")

    def _method(self, channel: grpc.aio.Channel, name: str) -> Any:
        call = self._methods.get(name)
        if call is None:
            call = self._methods[name] = channel.unary_unary(
                name,
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=_RESPONSES[name].FromString,
            )
        return call

    def _connect(self) -> grpc.aio.Channel:
        if self._channel is None:
            endpoint = self.endpoints[self._chosen]
            address = endpoint.removeprefix("https://").removeprefix("http://")
            if endpoint.startswith("https://"):
                self._channel = grpc.aio.secure_channel(address, self._credentials(), options=_OPTIONS)
            else:
                self._channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
            self._methods.clear()
        return self._channel

    def _credentials(self) -> grpc.ChannelCredentials:
        ca, cert, key = (Path(name).read_bytes() if name else None for name in self._tls)
        return grpc.ssl_channel_credentials(ca, key, cert)

    def _next_endpoint(self, failed: grpc.aio.Channel) -> None:
        """Who else failed on the same channel has already moved on."""
        if failed != self._channel or len(self.endpoints) == 1:
            return
        self._chosen = (self._chosen + 1) % len(self.endpoints)
        self._channel = None
        self._methods.clear()
        # Others may still wait on the old one: it closes when their calls have ended.
        closing: Coroutine[Any, Any, None] = failed.close(self._call_seconds)
        task = asyncio.get_running_loop().create_task(closing, name="etcd-close")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _translated(self, error: grpc.aio.AioRpcError, revision: int) -> StorageError:
        code, said = error.code(), error.details() or ""
        if code == grpc.StatusCode.OUT_OF_RANGE:
            return FutureRevision(revision, 0) if "future" in said else Compacted(revision, revision + 1)
        if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
            return StorageFull(f"etcd has no space left: {said}")
        if code == grpc.StatusCode.INVALID_ARGUMENT:
            return StorageError(said)
        return StorageUnavailable(f"etcd at {self.endpoints[self._chosen]}: {said} ({code.name})")


def _was_not_sent(error: grpc.aio.AioRpcError) -> bool:
    return error.code() == grpc.StatusCode.UNAVAILABLE and "failed to connect" in (error.details() or "")
