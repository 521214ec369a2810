"""What the rest of the API server (auth, admission, allocators) may ask of the registry, without knowing it.

``ObjectReader`` answers from the watch cache in memory; objects are shared and READ-ONLY. ``ObjectWriter`` goes the
whole way of a request (defaults, validation, storage) as a system user, without authentication.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

Object = dict[str, Any]
ChangeCallback = Callable[[Literal["ADDED", "MODIFIED", "DELETED"], Object], None]


class ObjectReader(Protocol):
    def get(self, group: str, resource: str, namespace: str, name: str) -> Object | None:
        """From memory. ``namespace`` is "" for cluster-scoped resources."""
        ...

    def list(self, group: str, resource: str, namespace: str = "") -> Sequence[Object]:
        """All (of a namespace), from memory."""
        ...

    def on_change(self, group: str, resource: str, callback: ChangeCallback) -> None:
        """Call back for every object now there (ADDED) and for every change after; used to keep indexes."""
        ...

    async def get_fresh(self, group: str, resource: str, namespace: str, name: str) -> Object | None:
        """Linearizable read of the store, for decisions that must not be stale."""
        ...


class ObjectWriter(Protocol):
    async def create(self, group: str, resource: str, namespace: str, obj: Object) -> Object: ...

    async def update(
        self, group: str, resource: str, namespace: str, name: str, change: Callable[[Object], Object | None],
        *, subresource: str = "",
    ) -> Object:
        """Read, ``change`` (a deep copy; return None for no change), write; retried on conflict."""
        ...

    async def delete(self, group: str, resource: str, namespace: str, name: str) -> None: ...
