"""Texts as clients know them: quoted strings and lists of strings in the notation that the messages are parsed by."""

from __future__ import annotations

import json
from collections.abc import Iterable


def quote(text: str) -> str:
    """A double-quoted string with escapes; letters beyond ASCII stay as they are."""
    return json.dumps(text, ensure_ascii=False)


def go_strings(texts: Iterable[str]) -> str:
    """``["a" "b"]``."""
    return "[" + " ".join(quote(text) for text in texts) + "]"


def aggregate(messages: Iterable[str]) -> str:
    """Several errors as one: alone as it is, more in brackets, each once."""
    distinct = list(dict.fromkeys(messages))
    return distinct[0] if len(distinct) == 1 else f"[{', '.join(distinct)}]"
