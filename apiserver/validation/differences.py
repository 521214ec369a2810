"""How an update that may not be is shown: the lines in which the old and the new struct differ."""

from __future__ import annotations

import difflib
import json
from typing import Any

from apiserver.validation.internal_structs import to_struct


def struct_value(name: str, value: Any) -> Any:
    """A value in the notation of upstream's internal type."""
    return to_struct(name, value)


def struct_difference(name: str, before: Any, after: Any) -> str:
    """A unified difference of two values, three lines of context around each change."""
    difference = list(difflib.unified_diff(_lines(name, before), _lines(name, after), n=3))
    return "".join(difference[2:])  # without the two lines that would name files


def _lines(name: str, value: Any) -> list[str]:
    text = json.dumps(to_struct(name, value), indent=1, ensure_ascii=False)
    return [line + "\n" for line in text.split("\n")]
