"""Completion indexes as text (``1,3-5``) and as sets. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from machinery.meta.objects import annotations_of, labels_of

Object = dict[str, Any]

INDEX = "batch.kubernetes.io/job-completion-index"


def parse_indexes(text: str | None, limit: int) -> set[int]:
    """Indexes below ``limit``; pieces that are no numbers are skipped."""
    found: set[int] = set()
    for piece in (text or "").split(","):
        first, _, last = piece.partition("-")
        try:
            low, high = int(first), int(last or first)
        except ValueError:
            continue
        found.update(range(low, min(high, limit - 1) + 1))
    return found


def format_indexes(indexes: Iterable[int]) -> str:
    """Runs of two are written as two numbers, longer ones as a range."""
    pieces: list[str] = []
    run: list[int] = []
    for index in [*sorted(indexes), None]:
        if run and (index is None or index != run[-1] + 1):
            pieces += [f"{run[0]}-{run[-1]}"] if len(run) > 2 else [str(number) for number in run]
            run = []
        if index is not None:
            run.append(index)
    return ",".join(pieces)


def index_of(pod: Object) -> int | None:
    """The completion index a pod was made for; None when it has none."""
    text = annotations_of(pod).get(INDEX, labels_of(pod).get(INDEX))
    return int(text) if text is not None and text.isdigit() else None


def is_indexed(job: Object) -> bool:
    return bool(job["spec"].get("completionMode") == "Indexed")
