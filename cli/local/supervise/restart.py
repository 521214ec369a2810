"""When to start a process again. Pure: times come as arguments.

The first restart is at once: most crashes are single ones, and a cluster without its API server helps nobody. One that
keeps dying is given more and more time, so that it does not eat a core; one that has lived for a while starts afresh.
"""

from __future__ import annotations

from dataclasses import dataclass

DELAYS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
STABLE_SECONDS = 30.0


@dataclass(frozen=True)
class History:
    restarts: int = 0
    failures: int = 0  # in a row
    started_at: float = 0.0

    def started(self, now: float) -> History:
        return History(self.restarts, self.failures, now)

    def ended(self, now: float) -> tuple[History, float]:
        """The history after this death, and when the process is due again."""
        failures = 0 if now - self.started_at >= STABLE_SECONDS else self.failures
        due = now + DELAYS[min(failures, len(DELAYS) - 1)]
        return History(self.restarts + 1, failures + 1, self.started_at), due
