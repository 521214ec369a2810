"""Times as they are typed: `5s`, `1m30s`, `2h`; a bare number is seconds. Pure."""

from __future__ import annotations

import re

from cli.errors import CommandError

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


def parse_seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        pass
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise CommandError(f"error: {text!r} is not a duration: use 5s, 2m or 1h30m")
    return float(sum(float(number) * _UNITS[unit] for number, unit in parts))
