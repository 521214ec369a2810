"""The recent changes of one resource: what a watch from an older revision starts with.

A busy resource needs room for about a minute of changes, so that a client that reconnects finds its place; a quiet one
keeps its last few hundred for as long as they last. Beyond the floor the answer is Compacted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from apiserver.storage.cacher.events import Change
from apiserver.storage.interface import Compacted

KEEP_CHANGES = 512
KEEP_SECONDS = 75.0
MAX_CHANGES = 20_000


class History:
    def __init__(self, floor: int, *, keep: int = KEEP_CHANGES, seconds: float = KEEP_SECONDS) -> None:
        self.floor = floor  # invariant: every change with revision > floor is here
        self._keep = keep
        self._seconds = seconds
        self._changes: deque[Change] = deque()

    def append(self, change: Change) -> None:
        changes = self._changes
        changes.append(change)
        while len(changes) > self._keep and (
            len(changes) > MAX_CHANGES or changes[0].at < change.at - self._seconds
        ):
            self.floor = changes.popleft().revision

    def __len__(self) -> int:
        return len(self._changes)

    def backwards(self, revision: int) -> Iterator[Change]:
        """Changes after ``revision``, the newest first."""
        if revision < self.floor:
            raise Compacted(revision, self.floor)
        for change in reversed(self._changes):
            if change.revision <= revision:
                return
            yield change

    def since(self, revision: int) -> list[Change]:
        changes = list(self.backwards(revision))
        changes.reverse()
        return changes
