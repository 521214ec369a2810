"""From single results to a verdict: thresholds and the first verdict of each kind of probe. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STARTUP, READINESS, LIVENESS = "startup", "readiness", "liveness"
KINDS = (STARTUP, READINESS, LIVENESS)


@dataclass(frozen=True, slots=True)
class Verdict:
    """``good`` is what counts; ``streak`` results in a row say ``last``."""

    good: bool
    last: bool | None = None
    streak: int = 0


def first_verdict(kind: str) -> Verdict:
    """Alive until shown otherwise; neither started nor ready before shown."""
    return Verdict(good=kind == LIVENESS)


def next_verdict(verdict: Verdict, success: bool, probe: Mapping[str, Any]) -> Verdict:
    streak = verdict.streak + 1 if verdict.last == success else 1
    threshold = int((probe.get("successThreshold") or 1) if success else (probe.get("failureThreshold") or 3))
    good = success if streak >= threshold else verdict.good
    return Verdict(good, success, streak)
