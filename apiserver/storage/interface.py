"""The storage contract: what the registry may rely on, whichever engine keeps the bytes.

An engine maps keys (``/registry/pods/default/web-1``) to JSON bytes under one revision counter that only grows. The
revision of the last write to a key IS the object's ``resourceVersion``; the bytes an engine holds do not contain it
(it would be a second truth), readers get it beside the bytes. Every engine (memory, SQLite, etcd) is held to this
text by the suite in ``tests/contract``.

The promises:

* A write that returned is durable, and every later read (unset revision) sees it.
* Revisions are unique per write, strictly increasing, never reused, also across restarts.
* A list is one snapshot: all its items are as of ``ListResult.revision``. Pages that name that revision continue the
  same snapshot, or fail with :class:`Compacted`.
* A watch from revision R delivers every event with revision > R under its prefix, once, in revision order, or fails
  with :class:`Compacted`; it never skips.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


class StorageError(Exception):
    """Root of what an engine may raise; anything else is a bug."""


class KeyExists(StorageError):
    """create() found the key taken."""

    def __init__(self, key: str) -> None:
        super().__init__(f"key exists: {key}")
        self.key = key


class RevisionMismatch(StorageError):
    """A conditional write lost: the key is gone or at another revision. ``current`` is what is there now."""

    def __init__(self, key: str, current: Stored | None) -> None:
        super().__init__(f"revision mismatch: {key}")
        self.key = key
        self.current = current


class Compacted(StorageError):
    """The asked revision is older than the history that is kept. ``compact_revision`` is the oldest that is served."""

    def __init__(self, revision: int, compact_revision: int) -> None:
        super().__init__(f"revision {revision} compacted; oldest is {compact_revision}")
        self.revision = revision
        self.compact_revision = compact_revision


class FutureRevision(StorageError):
    """The asked revision has not happened yet. ``current`` is the newest."""

    def __init__(self, revision: int, current: int) -> None:
        super().__init__(f"revision {revision} is in the future; newest is {current}")
        self.revision = revision
        self.current = current


class StorageFull(StorageError):
    """No room to write (disk full, quota). Reads go on."""


class StorageUnavailable(StorageError):
    """The engine cannot be reached or is read-only; the write did not happen or its outcome is unknown."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One key at one revision. ``value`` is JSON without resourceVersion; ``revision`` is that of its last write."""

    key: str
    value: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class ListResult:
    """``items`` in key order; ``revision`` of the snapshot; ``remaining`` keys after the last item (0 = complete)."""

    items: Sequence[Stored]
    revision: int
    remaining: int


@dataclass(frozen=True, slots=True)
class StoreEvent:
    """A change. ``value`` is the new bytes (for "delete": the last bytes); ``previous`` the bytes before it, if any.

    ``previous_revision`` is 0 for a creation.
    """

    type: Literal["create", "update", "delete", "progress"]
    key: str
    value: bytes
    revision: int
    previous: bytes | None = None
    previous_revision: int = 0


EventSink = Callable[[StoreEvent], None]
LossSink = Callable[[StorageError], None]


class Subscription(Protocol):
    """A live :meth:`Storage.follow`."""

    @property
    def revision(self) -> int:
        """Everything under the prefix up to this revision has been handed to the sink."""
        ...

    async def wait(self, revision: int, timeout_seconds: float) -> None:
        """Return once :attr:`revision` has reached ``revision``; raises FutureRevision after the timeout."""
        ...

    def close(self) -> None: ...


class Storage(Protocol):
    """One engine. All methods are safe to call concurrently from one event loop."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def get(self, key: str, *, revision: int = 0) -> Stored | None:
        """The key now (linearizable), or as of ``revision``."""
        ...

    async def list(self, prefix: str, *, limit: int = 0, start_key: str = "", revision: int = 0) -> ListResult:
        """Keys with ``prefix``, from ``start_key`` on, in order, at most ``limit`` (0: all), now or at ``revision``."""
        ...

    async def count(self, prefix: str) -> int: ...

    async def create(self, key: str, value: bytes, *, ttl_seconds: int = 0) -> int:
        """Write a key that must not exist. Returns its revision. Raises :class:`KeyExists`."""
        ...

    async def update(self, key: str, value: bytes, *, expected_revision: int, ttl_seconds: int = 0) -> int:
        """Replace a key that must be at ``expected_revision``. Returns the new revision. Raises RevisionMismatch."""
        ...

    async def delete(self, key: str, *, expected_revision: int = 0) -> tuple[Stored, int]:
        """Remove a key (at ``expected_revision`` unless 0). Returns what was there and the revision of the deletion.

        Raises RevisionMismatch (``current`` None when the key is not there).
        """
        ...

    def watch(self, prefix: str, *, revision: int) -> AsyncIterator[StoreEvent]:
        """Events under ``prefix`` with revision > ``revision`` (0 = from now). "progress" events carry only a revision:
        everything up to it has been delivered."""
        ...

    async def follow(self, prefix: str, *, revision: int, sink: EventSink, lost: LossSink) -> Subscription:
        """Like :meth:`watch`, pushed: ``sink`` is called in the event loop for every event, in order, in the same step
        that makes the write known to its writer. So who keeps a copy (the watch cache) has a write before the writer's
        await returns, with no task switch between. What lies between ``revision`` and now is replayed before this
        returns. ``lost`` is called once if the engine can no longer promise completeness; the follower starts over.
        """
        ...

    async def current_revision(self) -> int:
        """Newest committed revision, linearizable."""
        ...

    async def compact(self, revision: int) -> None:
        """Forget history below ``revision`` (current values stay)."""
        ...
