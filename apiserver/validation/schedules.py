"""Cron schedules: whether a text is one, and what is wrong with it in the words of the parser that upstream uses."""

from __future__ import annotations

_MONTHS = dict(jan=1, feb=2, mar=3, apr=4, may=5, jun=6, jul=7, aug=8, sep=9, oct=10, nov=11, dec=12)  # noqa: C408
_DAYS = dict(sun=0, mon=1, tue=2, wed=3, thu=4, fri=5, sat=6)  # noqa: C408
#: Lowest and highest number of each field, and the words it knows: minute, hour, day, month, weekday.
_FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}), (0, 23, {}), (1, 31, {}), (1, 12, _MONTHS), (0, 6, _DAYS))
_MACROS = frozenset(("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"))


def schedule_complaint(text: str) -> str:
    """Empty when the schedule is fine."""
    if text.startswith(("TZ=", "CRON_TZ=")):
        text = text.partition(" ")[2].strip()
    if text.startswith("@"):
        if text in _MACROS:
            return ""
        if text.startswith("@every "):
            return "" if text[7:].strip()[-1:] in "smh" else f"failed to parse duration {text}"
        return f"unrecognized descriptor: {text}"
    parts = text.split()
    if len(parts) != 5:
        return f"expected exactly 5 fields, found {len(parts)}: [{' '.join(parts)}]"
    for part, (low, high, words) in zip(parts, _FIELDS, strict=True):
        for piece in part.split(","):
            complaint = _range_complaint(piece, low, high, words)
            if complaint:
                return complaint
    return ""


def _range_complaint(text: str, low: int, high: int, words: dict[str, int]) -> str:
    span, *step = text.split("/")
    bounds = span.split("-")
    if bounds[0] in ("*", "?"):
        start, end = low, high
        if len(bounds) > 1:
            return f"failed to parse int from {span}"
    else:
        numbers: list[int] = []
        for bound in bounds:
            number = words.get(bound.lower())
            if number is None:
                if not bound.lstrip("+-").isdigit():
                    return f"failed to parse int from {bound}: strconv.Atoi: parsing \"{bound}\": invalid syntax"
                number = int(bound)
                if number < 0:
                    return f"negative number ({number}) not allowed: {bound}"
            numbers.append(number)
        if len(numbers) > 2:
            return f"too many hyphens: {text}"
        start, end = numbers[0], numbers[-1]
        if len(numbers) == 1 and step:
            end = high
    if len(step) > 1:
        return f"too many slashes: {text}"
    if step and (not step[0].isdigit() or int(step[0]) == 0):
        return f"step of range should be a positive number: {text}"
    if start < low:
        return f"beginning of range ({start}) below minimum ({low}): {text}"
    if end > high:
        return f"end of range ({end}) above maximum ({high}): {text}"
    if start > end:
        return f"beginning of range ({start}) beyond end of range ({end}): {text}"
    return ""
