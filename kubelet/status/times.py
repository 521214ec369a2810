"""Seconds since the epoch to the API's time text."""

from __future__ import annotations

from datetime import UTC, datetime

from machinery.meta.objects import format_time


def time_text(seconds: float) -> str:
    return format_time(datetime.fromtimestamp(seconds, UTC))
