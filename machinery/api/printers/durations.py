"""Ages as kubectl shows them: two units at most, the coarser the older."""

from __future__ import annotations

from datetime import datetime

UNKNOWN = "<unknown>"


def human_duration(seconds: float) -> str:
    """``95s``, ``7m3s``, ``5h``, ``3d4h``, ``2y``."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 0:
        return "0s"
    if whole < 120:
        return f"{whole}s"
    minutes = whole // 60
    if minutes < 10:
        return _two(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    hours = minutes // 60
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    days = hours // 24
    if hours < 192:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    if days < 2920:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two(big: int, big_unit: str, small: int, small_unit: str) -> str:
    return f"{big}{big_unit}{small}{small_unit}" if small else f"{big}{big_unit}"


def parse_instant(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def since(text: str | None, now: datetime) -> str:
    """The age of an instant; ``<unknown>`` for none."""
    at = parse_instant(text)
    return UNKNOWN if at is None else human_duration((now - at).total_seconds())
