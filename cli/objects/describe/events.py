"""The events of an object, as the last part of its description."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from cli.objects.age import age_of
from cli.objects.describe.writer import Writer


def write_events(out: Writer, events: Sequence[dict[str, Any]], now: datetime) -> None:
    if not events:
        out.field("Events", "<none>")
        return
    out.line(0, "Events:")
    out.line(1, "Type", "Reason", "Age", "From", "Message")
    out.line(1, "----", "------", "----", "----", "-------")
    for event in sorted(events, key=_last):
        source = (event.get("source") or {}).get("component") or event.get("reportingComponent") or ""
        message = (event.get("message") or "").strip()
        if field := (event.get("involvedObject") or {}).get("fieldPath"):
            message = f"{field}: {message}"
        out.line(1, event.get("type"), event.get("reason"), event_age(event, now), source, message)


def _last(event: dict[str, Any]) -> str:
    series = event.get("series") or {}
    return str(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or "")


def event_age(event: dict[str, Any], now: datetime) -> str:
    series = event.get("series") or {}
    count = series.get("count") or event.get("count") or 1
    last = age_of(_last(event), now)
    first = event.get("firstTimestamp") or event.get("eventTime")
    return f"{last} (x{count} over {age_of(first, now)})" if count > 1 else last
