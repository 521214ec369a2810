"""Instants as the API writes them: ``metav1.Time`` in whole seconds, ``MicroTime`` in microseconds, both in UTC.

Nearly all instants arrive in canonical form, so that is one comparison with a pattern; anything else that RFC 3339
allows is converted, and what it does not allow gets upstream's error text.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

_CANONICAL = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ")
_CANONICAL_MICRO = re.compile(
    r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}Z"
)
_SHAPE = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:\d\d)")
_LAYOUT = "2006-01-02T15:04:05Z07:00"
_MICRO_LAYOUT = "2006-01-02T15:04:05.000000Z07:00"


class InstantError(ValueError):
    """The text is no instant; the message is what the API answers."""


def canonical_time(text: str) -> str:
    """RFC 3339 -> ``2024-05-06T07:08:09Z``."""
    if _CANONICAL.fullmatch(text) and int(text[8:10]) <= 28:
        return text
    return _parse(text, _LAYOUT).strftime("%Y-%m-%dT%H:%M:%SZ")


def canonical_micro_time(text: str) -> str:
    """RFC 3339 -> ``2024-05-06T07:08:09.123456Z``."""
    if _CANONICAL_MICRO.fullmatch(text) and int(text[8:10]) <= 28:
        return text
    return _parse(text, _MICRO_LAYOUT).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _parse(text: str, layout: str) -> datetime:
    match = _SHAPE.fullmatch(text)
    if match is None or (layout == _MICRO_LAYOUT and len(match[7] or "") != 6):
        raise InstantError(f'parsing time "{text}" as "{layout}": {_complaint(text, layout)}')
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    zone = match[8]
    offset = timedelta(0)
    if zone != "Z":
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6])) * (-1 if zone[0] == "-" else 1)
    try:
        at = datetime(year, month, day, hour, minute, second, int(((match[7] or "") + "000000")[:6]), timezone(offset))
    except ValueError:
        parts = (("month", month > 12 or month == 0), ("hour", hour > 23), ("minute", minute > 59),
                 ("second", second > 59))  # fmt: skip
        part = next((name for name, bad in parts if bad), "day")
        raise InstantError(f'parsing time "{text}": {part} out of range') from None
    return at.astimezone(UTC)


#: The pieces of the layout in order, as a reader meets them, and what each accepts.
_PIECES = (
    ("2006", r"\d{4}"), ("-", "-"), ("01", r"\d\d"), ("-", "-"), ("02", r"\d\d"), ("T", "T"), ("15", r"\d\d"),
    (":", ":"), ("04", r"\d\d"), (":", ":"), ("05", r"\d\d"),
)  # fmt: skip


def _complaint(text: str, layout: str) -> str:
    rest = text
    for piece, pattern in _PIECES:
        match = re.match(pattern, rest)
        if match is None:
            return f'cannot parse "{rest}" as "{piece}"'
        rest = rest[match.end() :]
    if layout == _MICRO_LAYOUT:
        match = re.match(r"\.\d{6}(?!\d)", rest)
        if match is None:
            return f'cannot parse "{rest}" as ".000000"'
        rest = rest[match.end() :]
    else:
        match = re.match(r"[.,]\d+", rest)
        rest = rest[match.end() :] if match else rest
    match = re.match(r"Z|[+-]\d\d:\d\d", rest)
    if match is None:
        return f'cannot parse "{rest}" as "Z07:00"'
    return f'extra text: "{rest[match.end() :]}"'
