"""What a controller has asked for and not yet seen come back through its watch.

A sync that runs before its own creations are visible would create them again. So each owner key remembers how many
creations and which deletions (by uid) are on the way; ``satisfied`` is false until all were seen or five minutes have
passed (a lost watch event must not block an owner for ever).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from machinery.runtime.clock import Clock

TIMEOUT_SECONDS = 300.0


@dataclass
class _Pending:
    since: float
    creations: int = 0
    deletions: set[str] = field(default_factory=set)


class Expectations:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pending: dict[str, _Pending] = {}

    def satisfied(self, key: str) -> bool:
        pending = self._pending.get(key)
        if pending is None:
            return True
        if pending.creations <= 0 and not pending.deletions:
            del self._pending[key]
            return True
        return self._clock.monotonic() - pending.since > TIMEOUT_SECONDS

    def expect_creations(self, key: str, count: int) -> None:
        if count > 0:
            self._at(key).creations += count

    def expect_deletions(self, key: str, uids: Iterable[str]) -> None:
        self._at(key).deletions.update(uids)

    def creation_observed(self, key: str, count: int = 1) -> None:
        """Seen, or failed and never to be seen."""
        if (pending := self._pending.get(key)) is not None:
            pending.creations -= count

    def deletion_observed(self, key: str, uid: str) -> None:
        if (pending := self._pending.get(key)) is not None:
            pending.deletions.discard(uid)

    def forget(self, key: str) -> None:
        self._pending.pop(key, None)

    def _at(self, key: str) -> _Pending:
        pending = self._pending.get(key)
        if pending is None or self._clock.monotonic() - pending.since > TIMEOUT_SECONDS:
            pending = self._pending[key] = _Pending(self._clock.monotonic())
        pending.since = self._clock.monotonic()
        return pending
