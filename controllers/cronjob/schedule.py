"""Cron schedules: five fields, names, ranges, steps, macros and ``@every``; in a time zone. Pure.

A time is found by walking days of the calendar, then hours, then minutes of the zone's clock, and is kept only when the
zone really shows it: an hour that a change to summer time leaves out runs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

MACROS = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
SEARCH_DAYS = 5 * 366


class ScheduleError(ValueError):
    """The text is no schedule; the message says which part."""


@dataclass(frozen=True)
class Schedule:
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool
    every_seconds: float = 0.0

    def next_after(self, at: datetime, zone: tzinfo) -> datetime | None:
        """The first time after ``at``; None when there is none within five years."""
        if self.every_seconds:
            return at.replace(microsecond=0) + timedelta(seconds=self.every_seconds)
        first = at.astimezone(zone).date()
        for offset in range(SEARCH_DAYS):
            day = datetime.combine(first + timedelta(days=offset), datetime.min.time())
            if self._has_day(day):
                found = next((time for time in self._times(day, zone) if time > at), None)
                if found is not None:
                    return found
        return None

    def last_until(self, at: datetime, since: datetime, zone: tzinfo) -> datetime | None:
        """The last time in (since, at]."""
        if self.every_seconds:
            steps = int((at - since).total_seconds() // self.every_seconds)
            return since.replace(microsecond=0) + timedelta(seconds=steps * self.every_seconds) if steps > 0 else None
        last, earliest = at.astimezone(zone).date(), since.astimezone(zone).date()
        for offset in range((last - earliest).days + 1):
            day = datetime.combine(last - timedelta(days=offset), datetime.min.time())
            if self._has_day(day):
                times = [time for time in self._times(day, zone) if since < time <= at]
                if times:
                    return times[-1]
        return None

    def _has_day(self, day: datetime) -> bool:
        if day.month not in self.months:
            return False
        by_date, by_weekday = day.day in self.days, (day.weekday() + 1) % 7 in self.weekdays
        # Two restrictions are alternatives, as in every cron.
        return (by_date and by_weekday) if self.any_day or self.any_weekday else (by_date or by_weekday)

    def _times(self, day: datetime, zone: tzinfo) -> Iterator[datetime]:
        for hour in sorted(self.hours):
            for minute in sorted(self.minutes):
                local = day.replace(hour=hour, minute=minute, tzinfo=zone)
                exact = local.astimezone(UTC)
                if exact.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
                    yield exact


def parse_schedule(text: str) -> Schedule:
    text = text.strip()
    if text.startswith("@every "):
        return _every(text.removeprefix("@every ").strip())
    text = MACROS.get(text.lower(), text)
    fields = text.split()
    if len(fields) != 5:
        raise ScheduleError(f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]")
    minutes, hours, days, months, weekdays = fields
    return Schedule(
        _field(minutes, 0, 59), _field(hours, 0, 23), _field(days, 1, 31), _field(months, 1, 12, MONTHS, 1),
        frozenset(number % 7 for number in _field(weekdays, 0, 7, DAYS)),
        days[0] in "*?", weekdays[0] in "*?",
    )  # fmt: skip


def _every(text: str) -> Schedule:
    seconds, number = 0.0, ""
    units = {"h": 3600, "m": 60, "s": 1}
    for char in text:
        if char in units and number:
            seconds, number = seconds + float(number) * units[char], ""
        elif char.isdigit() or char == ".":
            number += char
        else:
            raise ScheduleError(f"failed to parse duration @every {text}")
    if number or seconds < 1:
        raise ScheduleError(f"failed to parse duration @every {text}")
    none: frozenset[int] = frozenset()
    return Schedule(none, none, none, none, none, True, True, float(int(seconds)))


def _field(text: str, low: int, high: int, names: tuple[str, ...] = (), first_name: int = 0) -> frozenset[int]:
    def number(word: str) -> int:
        if word.lower() in names:
            return names.index(word.lower()) + first_name
        if not word.isdigit():
            raise ScheduleError(f"failed to parse int from {word}")
        return int(word)

    found: set[int] = set()
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        start_text, dash, end_text = span.partition("-")
        if span in ("*", "?"):
            start, end = low, high
        else:
            start = number(start_text)
            end = number(end_text) if dash else high if slash else start
        step = number(step_text) if slash else 1
        if step == 0:
            raise ScheduleError(f"step of range should be a positive number: {part}")
        if start < low or end > high:
            raise ScheduleError(f"{start}-{end} is outside of {low}-{high}: {part}")
        if start > end:
            raise ScheduleError(f"beginning of range ({start}) beyond end of range ({end}): {part}")
        found.update(range(start, end + 1, step))
    return frozenset(found)
