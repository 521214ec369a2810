"""Values as Go prints them with `%v` and `%q`.

Some refusals carry a value of the request in the notation of the language upstream is written in, and clients show
them as they are: `map[name:a ports:[80 81]]`. Only the shapes that JSON can make are covered.
"""

from __future__ import annotations

import json
from typing import Any


def go_value(value: Any) -> str:
    """`%v`."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{go_value(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list | tuple):
        return "[" + " ".join(map(go_value, value)) + "]"
    if isinstance(value, float):
        return go_float(value)
    return str(value)


def go_float(value: float) -> str:
    """`%v` of a float64: the shortest form, with an exponent below 1e-4 and from 1e21 on."""
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    text = repr(value)
    if "e" in text:
        mantissa, _, exponent = text.partition("e")
        return f"{mantissa}e{exponent[0] if exponent[0] in '+-' else '+'}{exponent.lstrip('+-').zfill(2)}"
    return text


def go_quote(text: str) -> str:
    """`%q`."""
    return json.dumps(text, ensure_ascii=False).replace("\\u007f", "\\x7f")


def go_type(value: Any) -> str:
    """How a JSON decoder names the kind of a value in its complaints."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, list):
        return "array"
    return "object"
