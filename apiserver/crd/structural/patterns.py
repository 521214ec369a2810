"""Regular expressions of clients: they are RE2's, and they must not be able to stop the server.

Python's engine backtracks, and a pattern like ``(a+)+$`` over a few dozen letters would keep it busy for hours. The
engine inside ``jsonschema-rs`` takes time in proportion to the text, so whatever only asks *whether* something matches
is asked there. It is loaded with the first pattern.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

Check = Callable[[str], bool]


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str) -> Check:
    """Whether the pattern is found anywhere in a text. A pattern of another dialect, accepted long ago, is left to
    Python's engine."""
    try:
        return linear(pattern)
    except ValueError:
        compiled = re.compile(translate(pattern))
        return lambda text: compiled.search(text) is not None


@lru_cache(maxsize=1024)
def linear(pattern: str) -> Check:
    """Raises ValueError for what the linear engine does not know (back references, look-around)."""
    import jsonschema_rs

    schema = {"pattern": translate(pattern, end=r"\z")}
    try:
        found: Check = jsonschema_rs.validator_for(schema, pattern_options=jsonschema_rs.RegexOptions()).is_valid
    except jsonschema_rs.ValidationError as error:
        raise ValueError(str(error)) from None
    return found


_POSIX = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": r"\x00-\x7f", "blank": r"\t ", "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~", "punct": r"!-/:-@\[-`{-~", "space": r"\t\n\v\f\r ",
    "upper": "A-Z", "word": r"0-9A-Za-z_", "xdigit": "0-9A-Fa-f",
}  # fmt: skip


def translate(pattern: str, end: str = r"\Z") -> str:
    """A pattern in RE2's syntax without what dialects disagree about: ``$`` and ``\\z`` are the very end (written as
    ``end``), digits are ASCII, POSIX classes are spelled out."""
    out: list[str] = []
    inside = False
    index = 0
    while index < len(pattern):
        char = pattern[index]
        if char == "\\" and index + 1 < len(pattern):
            following = pattern[index + 1]
            out.append({"z": end, "d": "[0-9]" if not inside else "0-9"}.get(following, char + following))
            index += 2
            continue
        if inside and pattern.startswith("[:", index):
            name, closed, _ = pattern[index + 2 :].partition(":]")
            if closed and name in _POSIX:
                out.append(_POSIX[name])
                index += len(name) + 4
                continue
        if char == "[" and not inside:
            inside = True
            out.append(char)
            index += 1
            if pattern[index : index + 1] == "^":
                out.append("^")
                index += 1
            if pattern[index : index + 1] == "]":
                out.append(r"\]")
                index += 1
            continue
        if char == "[":
            out.append(r"\[")
        elif char == "]" and inside:
            inside = False
            out.append(char)
        else:
            out.append(end if char == "$" and not inside else char)
        index += 1
    return "".join(out)
