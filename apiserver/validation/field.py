"""Complaints about fields, in upstream's words.

`Errors` collects causes in the order in which they are found; that order is what a client sees. Paths are plain
strings and made only where something is wrong or where a whole subtree is entered, because most objects are fine.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from machinery.meta import names
from machinery.meta.go_format import go_float, go_quote

Cause = dict[str, Any]
Object = dict[str, Any]

IMMUTABLE = "field is immutable"
NOT_NEGATIVE = "must be greater than or equal to 0"
PORT_RANGE = "must be between 1 and 65535, inclusive"


def show(value: Any) -> str:
    """A value as a complaint names it: text quoted, numbers bare, everything else as JSON."""
    if isinstance(value, str):
        return go_quote(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return go_float(value)
    return to_json(value)


def to_json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


class Errors(list[Cause]):
    """The causes found so far."""

    def _add(self, reason: str, path: str, message: str) -> None:
        self.append({"reason": reason, "message": message, "field": path})

    def required(self, path: str, detail: str = "") -> None:
        self._add("FieldValueRequired", path, f"Required value: {detail}" if detail else "Required value")

    def invalid(self, path: str, value: Any, detail: str) -> None:
        shown = show(value)
        self._add(
            "FieldValueInvalid", path, f"Invalid value: {shown}: {detail}" if detail else f"Invalid value: {shown}"
        )

    def invalid_all(self, path: str, value: Any, details: Iterable[str]) -> None:
        for detail in details:
            self.invalid(path, value, detail)

    def forbidden(self, path: str, detail: str) -> None:
        self._add("FieldValueForbidden", path, f"Forbidden: {detail}")

    def duplicate(self, path: str, value: Any) -> None:
        self._add("FieldValueDuplicate", path, f"Duplicate value: {show(value)}")

    def not_found(self, path: str, value: Any) -> None:
        self._add("FieldValueNotFound", path, f"Not found: {show(value)}")

    def not_supported(self, path: str, value: Any, supported: Sequence[str]) -> None:
        listed = ", ".join(map(go_quote, supported))
        shown = show(value)
        self._add("FieldValueNotSupported", path, f"Unsupported value: {shown}: supported values: {listed}")

    def too_long(self, path: str, limit: int) -> None:
        self._add("FieldValueTooLong", path, f"Too long: may not be more than {limit} bytes")

    def too_many(self, path: str, count: int, limit: int) -> None:
        plural = "s" if limit != 1 else ""
        self._add("FieldValueTooMany", path, f"Too many: {count}: must have at most {limit} item{plural}")

    # -- checks that many kinds share ------------------------------------------------------------------------------

    def not_negative(self, path: str, value: int | None) -> None:
        if value is not None and value < 0:
            self.invalid(path, value, NOT_NEGATIVE)

    def one_of(self, path: str, value: str, supported: Sequence[str]) -> None:
        """Upstream sorts the words it supports, except where a test of ours says otherwise."""
        if value not in supported:
            self.not_supported(path, value, supported)

    def port(self, path: str, value: int) -> None:
        if not 1 <= value <= 65535:
            self.invalid(path, value, PORT_RANGE)

    def immutable(self, path: str, new: Any, old: Any, detail: str = IMMUTABLE) -> None:
        if new != old:
            self.invalid(path, new, detail)

    def label_values(self, path: str, labels: dict[str, str] | None) -> None:
        for key, value in sorted((labels or {}).items()):
            self.invalid_all(path, key, names.qualified_name(key))
            self.invalid_all(path, value, names.label_value(value))


def size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
