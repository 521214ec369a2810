"""What the agent remembers of a pod between two looks: nothing that matters.

Losing it costs a repeated event or a second try of a hook; all that decides what runs is in the runtime and the API.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kubelet.observed import Ending, Failure

RETRY_BASE_SECONDS = 1.0
RETRY_CAP_SECONDS = 10.0


@dataclass(slots=True)
class PodMemory:
    failures: dict[str, Failure] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    hooks_run: set[str] = field(default_factory=set)
    back_off_told: set[str] = field(default_factory=set)
    ending: Ending | None = None
    #: Resources that were changed and may not be in the API's status yet, by container id.
    in_force: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    resize_told: tuple[int, str] = (0, "")
    #: Containers that the runtime's events say have ended; a look that still shows them running is too old.
    exits: set[str] = field(default_factory=set)
    exit_looks: int = 0

    def fail(self, what: str, reason: str, message: str, now: float, after_seconds: float | None = None) -> None:
        """Records a failed try with its next time: twice as long after each, unless the cause says when."""
        tries = self.attempts[what] = self.attempts.get(what, 0) + 1
        delay = min(RETRY_BASE_SECONDS * 2 ** (tries - 1), RETRY_CAP_SECONDS)
        at = now + (delay if after_seconds is None else after_seconds)
        self.failures[what] = Failure(reason, message, at)

    def succeed(self, what: str) -> None:
        self.failures.pop(what, None)
        self.attempts.pop(what, None)
