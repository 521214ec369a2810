"""What this process wrote and its cache has not shown yet.

Creating by ``generateName`` twice makes two objects; so a controller that owns such objects waits, before it plans
again, until the cache shows its last writes. Versions compare as numbers. A lost event must not block for ever:
after ten seconds a record is dropped.
"""

from __future__ import annotations

from typing import Any

from machinery.cache.informer import Informer
from machinery.meta.objects import object_key
from machinery.runtime.clock import Clock

Object = dict[str, Any]
TIMEOUT_SECONDS = 10.0


def version_of(obj: Object) -> int:
    try:
        return int(obj["metadata"].get("resourceVersion") or 0)
    except ValueError:
        return 0


class Written:
    def __init__(self, informer: Informer, clock: Clock) -> None:
        self._informer, self._clock = informer, clock
        self._records: dict[str, dict[str, tuple[int, float]]] = {}

    def record(self, owner_key: str, obj: Object) -> None:
        """``obj`` is the server's answer to a create or update."""
        records = self._records.setdefault(owner_key, {})
        records[object_key(obj)] = (version_of(obj), self._clock.monotonic())

    def is_stale(self, owner_key: str) -> bool:
        """Whether the cache is behind a write for this owner."""
        records = self._records.get(owner_key)
        if not records:
            return False
        now = self._clock.monotonic()
        for key, (version, at) in list(records.items()):
            cached = self._informer.get(key)
            seen = cached is not None and version_of(cached) >= version
            if seen or now - at > TIMEOUT_SECONDS:
                del records[key]
        if not records:
            del self._records[owner_key]
            return False
        return True

    def deleted(self, owner_key: str, key: str) -> None:
        """Seen to be gone, or deleted by us: nothing to wait for."""
        records = self._records.get(owner_key)
        if records is not None:
            records.pop(key, None)
