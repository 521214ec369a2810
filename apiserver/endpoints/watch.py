"""GET with ``watch``: the changes of a collection as a stream.

Plain JSON is the hot path: an event's line is made once and shared by all who watch the same thing, and all events that
wait are written in one go. Tables, metadata, protobuf and converted versions are made per watcher kind and kept with
the event. Frames go out as chunked lines, length-prefixed protobuf, or WebSocket messages.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from aiohttp import web

from apiserver.endpoints.list import predicate_of
from apiserver.endpoints.options import ListOptions, bad_resource_version, parse_uint, read_list_options
from apiserver.endpoints.output import Presenter
from apiserver.endpoints.request import Request
from apiserver.endpoints.storage_errors import expired_watch, too_large_revision
from apiserver.registry.codec import ObjectCodec
from apiserver.server import metrics
from apiserver.server.listen import ApiProtocol
from apiserver.server.negotiate import JSON, PROTOBUF, MediaType, negotiate_stream
from apiserver.server.responses import base_headers, encode_json
from apiserver.storage.cacher import Watcher, WatchEvent
from apiserver.storage.interface import Compacted, FutureRevision
from machinery.meta.errors import ApiError

MIN_TIMEOUT_SECONDS = 1800
INITIAL_EVENTS_END = "k8s.io/initial-events-end"
#: How long before its end a watch that wants bookmarks gets a last one.
LAST_BOOKMARK_SECONDS = 2.0
_SEND = Callable[[bytes], Any]


async def watch(request: Request) -> web.StreamResponse:
    media = negotiate_stream(request.context.accept, request.types)
    context, route, store = request.context, request.route, request.store
    options = read_list_options(context.query, watch=True)
    predicate = predicate_of(route.kind, route.namespace, options, route.name)
    presenter = request.presenter(media)
    revision = _revision(options)
    encoder = EventEncoder(presenter, store.codec(route.kind))
    failure: ApiError | None = None
    watcher: Watcher | None = None
    initial = bool(options.send_initial_events)
    if options.send_initial_events is False and not revision:
        revision = store.cacher.revision
    try:
        watcher = await store.cacher.watch(
            predicate, revision=revision, initial_events=initial, bookmarks=options.bookmarks
        )
    except Compacted as error:
        failure = expired_watch(error)
    except FutureRevision as error:
        failure = too_large_revision(error)
    sink = await _open(request, media)
    gauge = metrics.WATCHERS.labels("WATCH", route.kind.plural)
    gauge.inc()
    try:
        if failure is not None or watcher is None:
            assert failure is not None
            await sink.send(encoder.error(failure))
        else:
            await _stream(watcher, encoder, sink, _timeout(options), store.cacher.bookmark)
    except (ConnectionError, asyncio.CancelledError):
        raise
    finally:
        gauge.dec()
        if watcher is not None:
            watcher.close()
    return await sink.finish()


def _revision(options: ListOptions) -> int | None:
    text = options.resource_version
    if not text:
        return None
    number = parse_uint(text)
    if number is None:
        raise bad_resource_version(text)
    if number >= 2**64:
        raise ApiError(500, "", f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": '
                                "value out of range", None)
    return number


def _timeout(options: ListOptions) -> float:
    if options.timeout_seconds is not None and options.timeout_seconds > 0:
        return float(options.timeout_seconds)
    return MIN_TIMEOUT_SECONDS * (1 + random.random())


async def _stream(
    watcher: Watcher, encoder: EventEncoder, sink: Sink, seconds: float, bookmark: Callable[[Watcher], None]
) -> None:
    loop = asyncio.get_running_loop()
    ends = loop.call_later(seconds, watcher.close)
    marks = None
    if watcher.bookmarks and seconds > 2 * LAST_BOOKMARK_SECONDS:
        marks = loop.call_later(seconds - LAST_BOOKMARK_SECONDS, bookmark, watcher)
    sink.on_close(watcher.close)
    try:
        while events := await watcher.take():
            if sink.framed:
                for event in events:
                    await sink.send(encoder.encode(event))
            else:
                await sink.send(b"".join([encoder.encode(event) for event in events]))
    finally:
        ends.cancel()
        if marks is not None:
            marks.cancel()


class EventEncoder:
    """Events of one watch in its form."""

    def __init__(self, presenter: Presenter, codec: ObjectCodec) -> None:
        self._presenter = presenter
        self._codec = codec
        self._first = True
        media = presenter.media
        self._plain = media.type == JSON and not media.transform and codec.parsed is not None and codec._convert is None
        self._protobuf = media.type == PROTOBUF
        self._silent = media.transform == "PartialObjectMetadataList"

    def encode(self, event: WatchEvent) -> bytes:
        if event.entry is None:
            return self._document(self._bookmark(event))
        if self._plain:
            return event.json
        if self._silent:
            return b""
        first, self._first = self._first, False
        media = self._presenter.media
        name = f"{self._codec.kind.api_version} {media.type} {media.transform} {media.version}"
        if media.transform == "Table":
            name += f" {first} {self._presenter._include}"

        def make(event: WatchEvent) -> bytes:
            assert event.entry is not None
            return self._document(self._presenter.event(event.type, self._codec.parsed(event.entry), first=first))

        return event.cached(name, make)  # type: ignore[no-any-return]

    def _bookmark(self, event: WatchEvent) -> dict[str, Any]:
        kind, media = self._codec.kind, self._presenter.media
        meta: dict[str, Any] = {"resourceVersion": str(event.revision)}
        if event.initial_events_end:
            meta["annotations"] = {INITIAL_EVENTS_END: "true"}
        obj: dict[str, Any] = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": meta}
        if media.transform == "Table":
            first, self._first = self._first, False
            obj = self._presenter.bookmark_table(obj, first=first)
        elif media.transform:
            obj = {"kind": "PartialObjectMetadata", "apiVersion": media.api_version, "metadata": meta}
        elif not kind.custom:
            obj |= _EMPTY_PARTS.get(kind.kind, {})
        return {"type": "BOOKMARK", "object": obj}

    def error(self, error: ApiError) -> bytes:
        return self._document({"type": "ERROR", "object": error.status()})

    def _document(self, doc: dict[str, Any]) -> bytes:
        if self._protobuf:
            from machinery.api import wire

            return wire.encode_watch_frame(doc["type"], wire.encode_object(doc["object"]))
        return encode_json(doc)


#: What upstream's empty struct writes beside metadata in a bookmark.
_EMPTY_PARTS: dict[str, dict[str, Any]] = {}


class Sink:
    """Where a watch writes to."""

    framed = False

    async def send(self, data: bytes) -> None:
        raise NotImplementedError

    async def finish(self) -> web.StreamResponse:
        raise NotImplementedError

    def on_close(self, callback: Callable[[], None]) -> None:
        """Call back when the client goes away."""


class ChunkedSink(Sink):
    def __init__(self, response: web.StreamResponse, protocol: ApiProtocol) -> None:
        self._response = response
        self._protocol = protocol

    def on_close(self, callback: Callable[[], None]) -> None:
        self._protocol.when_lost(callback)

    async def send(self, data: bytes) -> None:
        if data:
            await self._response.write(data)

    async def finish(self) -> web.StreamResponse:
        self._protocol.when_lost(None)
        await self._response.write_eof()
        return self._response


class WebSocketSink(Sink):
    framed = True

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket
        self._reader: asyncio.Task[None] | None = None

    async def send(self, data: bytes) -> None:
        if data:
            await self._socket.send_str(data.decode())

    def on_close(self, callback: Callable[[], None]) -> None:
        async def read() -> None:
            async for _ in self._socket:
                pass  # clients have nothing to say
            callback()

        self._reader = asyncio.get_running_loop().create_task(read(), name="watch-websocket-reader")

    async def finish(self) -> web.StreamResponse:
        if self._reader is not None:
            self._reader.cancel()
        await self._socket.close()
        return self._socket


def is_websocket(request: web.BaseRequest) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"


async def _open(request: Request, media: MediaType) -> Sink:
    http = request.context.request
    if is_websocket(http):
        socket = web.WebSocketResponse()
        await socket.prepare(http)
        return WebSocketSink(socket)
    response = web.StreamResponse(status=200, headers=base_headers(request.context))
    response.headers["Content-Type"] = f"{PROTOBUF};stream=watch" if media.type == PROTOBUF else JSON
    response.enable_chunked_encoding()
    await response.prepare(http)
    assert isinstance(http.protocol, ApiProtocol)
    return ChunkedSink(response, http.protocol)
