"""Conflicts between managers, and how a client is told of them."""

from __future__ import annotations

from typing import Any

from machinery.meta.apply.entries import UPDATE, Owner
from machinery.meta.apply.fieldset import FieldSet, difference, iterate, path_text
from machinery.meta.errors import ApiError, apply_conflict
from machinery.meta.go_format import go_quote

Found = dict[Owner, tuple[FieldSet, str]]


class Conflicts(Exception):
    """The fields of others that an apply would change, with the version each is recorded in."""

    def __init__(self, found: Found) -> None:
        super().__init__("apply conflicts")
        self.found = found

    def beyond(self, allowed: FieldSet) -> Found:
        """The conflicts that are left when some fields may be taken."""
        return {
            key: (left, version) for key, (fields, version) in self.found.items()
            if (left := difference(fields, allowed))}


def conflict_error(found: Found) -> ApiError:
    """The 409, with a cause for every field."""
    by_manager: dict[str, list[str]] = {}
    causes: list[dict[str, Any]] = []
    for key in sorted(found, key=lambda key: (key.manager, key.operation, key.subresource)):
        fields, version = found[key]
        name = _name(key, version)
        for path in iterate(fields):
            text = path_text(path)
            causes.append({"reason": "FieldManagerConflict", "message": f"conflict with {name}", "field": text})
            by_manager.setdefault(name, []).append(text)
    if len(causes) == 1:
        message = f"Apply failed with 1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    else:
        lines = [line for name, texts in by_manager.items()
                 for line in (f"conflicts with {name}:", *(f"- {text}" for text in texts))]
        message = f"Apply failed with {len(causes)} conflicts: " + "\n".join(lines)
    return apply_conflict(causes, message)


def _name(key: Owner, version: str) -> str:
    text = go_quote(key.manager)
    if key.subresource:
        text += f" with subresource {go_quote(key.subresource)}"
    return f"{text} using {version}" if key.operation == UPDATE else text
