"""The informer: a local, indexed, read-only copy of one resource that follows the server.

Three storeys, each with one job:

* ``_follow_for_ever`` reconnects with back-off and never gives up;
* ``_follow`` makes one consistent copy (WatchList: initial events, then the marked bookmark, then live) and follows it
  until the stream ends;
* ``_apply``/``_replace`` change the store and call the handlers.

Invariants:

* Objects handed out are shared with every other reader: READ-ONLY.
* Handlers run after the store has changed, in order of the stream, synchronously in the event loop; they only put keys
  into queues.
* After a reconnect with lost history the store is replaced, and the difference is told to the handlers as adds,
  updates and deletes, so that a missed deletion is still seen.
* ``synced`` is set once and stays set; a stale copy is better than none.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import structlog

from machinery.cache.indexed_store import IndexedStore, Indexer
from machinery.client import Client, ConnectError
from machinery.client.watching import is_initial_events_end
from machinery.meta.errors import ApiError, is_expired, is_forbidden, is_not_found
from machinery.meta.objects import object_key

log = structlog.get_logger(__name__)
Object = dict[str, Any]

MIN_BACKOFF_SECONDS = 0.1
#: A server that restarts is back within a second or two; nobody should wait much longer than that for its caches.
MAX_BACKOFF_SECONDS = 2.0


class Handler:
    """Three optional callbacks; absent ones do nothing."""

    __slots__ = ("on_add", "on_delete", "on_update")

    def __init__(
        self, on_add: Callable[[Object], Any] | None, on_update: Callable[[Object, Object], Any] | None,
        on_delete: Callable[[Object], Any] | None,
    ) -> None:
        self.on_add = on_add or (lambda obj: None)
        self.on_update = on_update or (lambda old, new: None)
        self.on_delete = on_delete or (lambda obj: None)


class Informer:
    """A cache of one resource (of one namespace, of one selection)."""

    def __init__(
        self, client: Client, gv: str, plural: str, *, namespace: str | None = None,
        label_selector: str | None = None, field_selector: str | None = None,
        indexers: dict[str, Indexer] | None = None, transform: Callable[[Object], Object] | None = None,
        metadata_only: bool = False, rng: random.Random | None = None,
    ) -> None:
        self.gv, self.plural, self.namespace = gv, plural, namespace
        self._client = client
        self._selection = {"label_selector": label_selector, "field_selector": field_selector}
        self._metadata_only = metadata_only
        self._transform = transform
        self._store = IndexedStore(indexers or {})
        self._handlers: list[Handler] = []
        self._synced = asyncio.Event()
        self._rng = rng or random.Random()
        self._resource_version: str | None = None
        self._backoff = MIN_BACKOFF_SECONDS

    def __repr__(self) -> str:
        return f"Informer({self.gv}/{self.plural})"

    # --- reading ------------------------------------------------------------------------------------------------

    @property
    def synced(self) -> bool:
        return self._synced.is_set()

    @property
    def resource_version(self) -> str | None:
        """The version up to which the copy follows the server."""
        return self._resource_version

    async def wait_synced(self) -> None:
        await self._synced.wait()

    def get(self, key: str) -> Object | None:
        """By ``namespace/name`` (or ``name``). READ-ONLY."""
        return self._store.get(key)

    def items(self) -> list[Object]:
        return self._store.items()

    def keys(self) -> list[str]:
        return self._store.keys()

    def by_index(self, name: str, value: str) -> list[Object]:
        return self._store.by_index(name, value)

    def __len__(self) -> int:
        return len(self._store)

    def add_indexers(self, indexers: dict[str, Indexer]) -> None:
        self._store.add_indexers(indexers)

    def add_handler(
        self, *, on_add: Callable[[Object], Any] | None = None,
        on_update: Callable[[Object, Object], Any] | None = None, on_delete: Callable[[Object], Any] | None = None,
    ) -> None:
        """Register callbacks; a late handler is told of everything that is already here."""
        handler = Handler(on_add, on_update, on_delete)
        self._handlers.append(handler)
        for obj in self._store.items():
            handler.on_add(obj)

    # --- following ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self._follow()
                self._backoff = MIN_BACKOFF_SECONDS
                continue
            except ApiError as error:
                if is_expired(error):
                    log.info("watch history is gone, copying anew", resource=self.plural)
                    self._resource_version = None
                    continue
                missing = is_not_found(error) or is_forbidden(error)
                log.log(20 if missing else 30, "watch refused", resource=self.plural, error=error.message)
            except ConnectError as error:
                # Every informer of a process loses its stream at once: one line is news, sixty are noise.
                log.debug("watch lost", resource=self.plural, error=str(error))
            await asyncio.sleep(self._backoff * self._rng.uniform(0.5, 1.0))
            self._backoff = min(self._backoff * 2, MAX_BACKOFF_SECONDS)

    async def _follow(self) -> None:
        """One stream: resume from the known version, or copy everything first."""
        copying = self._resource_version is None
        fresh: dict[str, Object] = {}
        stream = self._client.watch(
            self.gv, self.plural, namespace=self.namespace, resource_version=self._resource_version,
            send_initial_events=copying, timeout_seconds=int(self._rng.uniform(300, 600)),
            metadata_only=self._metadata_only, **self._selection,  # type: ignore[arg-type]
        )  # fmt: skip
        async for event in stream:
            version = event.obj.get("metadata", {}).get("resourceVersion")
            if event.type == "BOOKMARK":
                if copying and is_initial_events_end(event):
                    self._replace(fresh)
                    copying, fresh = False, {}
                    self._backoff = MIN_BACKOFF_SECONDS
                    self._synced.set()
            else:
                obj = self._transform(event.obj) if self._transform else event.obj
                if copying:
                    # Live events may arrive before the bookmark; they are part of the copy.
                    if event.type == "DELETED":
                        fresh.pop(object_key(obj), None)
                    else:
                        fresh[object_key(obj)] = obj
                else:
                    self._apply(event.type, obj)
            if version and not copying:
                self._resource_version = version

    def _apply(self, event_type: str, obj: Object) -> None:
        key = object_key(obj)
        if event_type == "DELETED":
            old = self._store.remove(key)
            if old is not None:
                self._tell(lambda handler: handler.on_delete(obj))
            return
        old = self._store.put(key, obj)
        if old is None:
            self._tell(lambda handler: handler.on_add(obj))
        else:
            before = old
            self._tell(lambda handler: handler.on_update(before, obj))

    def _replace(self, fresh: dict[str, Object]) -> None:
        gone = [key for key in self._store.keys() if key not in fresh]  # noqa: SIM118 (a store is no dict)
        for key in gone:
            old = self._store.remove(key)
            if old is not None:
                lost = old
                self._tell(lambda handler, lost=lost: handler.on_delete(lost))  # type: ignore[misc]
        for key, obj in fresh.items():
            old = self._store.get(key)
            if old is None or not _same_version(old, obj):
                self._apply("MODIFIED", obj)

    def _tell(self, call: Callable[[Handler], Any]) -> None:
        for handler in self._handlers:
            call(handler)


def _same_version(a: Object, b: Object) -> bool:
    return bool(a["metadata"].get("resourceVersion") == b["metadata"].get("resourceVersion"))


class InformerFactory:
    """Shares informers: one stream and one copy a resource, however many controllers read it."""

    def __init__(self, client: Client, *, transform: Callable[[Object], Object] | None = None) -> None:
        self.client = client
        self._transform = transform
        self._informers: dict[tuple[Any, ...], Informer] = {}
        self._spawn: Callable[[str, Any], Any] | None = None

    def informer(
        self, gv: str, plural: str, *, namespace: str | None = None, label_selector: str | None = None,
        field_selector: str | None = None, indexers: dict[str, Indexer] | None = None, metadata_only: bool = False,
    ) -> Informer:
        """The shared informer; indexers add up. Started at once when the factory runs already."""
        key = (gv, plural, namespace, label_selector, field_selector, metadata_only)
        informer = self._informers.get(key)
        if informer is None:
            informer = Informer(
                self.client, gv, plural, namespace=namespace, label_selector=label_selector,
                field_selector=field_selector, indexers=indexers, transform=self._transform,
                metadata_only=metadata_only,
            )  # fmt: skip
            self._informers[key] = informer
            if self._spawn is not None:
                self._spawn(f"informer-{plural}", informer.run())
        elif indexers:
            informer.add_indexers(indexers)
        return informer

    def start(self, tasks: Any) -> None:
        """Run every informer as a task of ``tasks`` (:class:`machinery.runtime.tasks.Tasks`)."""
        self._spawn = tasks.spawn
        for informer in self._informers.values():
            tasks.spawn(f"informer-{informer.plural}", informer.run())

    async def wait_synced(self, informers: Iterable[Informer] | None = None) -> None:
        waited: Sequence[Informer] = list(informers if informers is not None else self._informers.values())
        await asyncio.gather(*(informer.wait_synced() for informer in waited))
