"""Ownership through the scale subresource, which is another view of one field of the object behind it.

Seen from a Scale, the owners are those of the object's replicas field, under its own name and version. What the
write to the Scale decides is then carried back: a new owner gets the object's field, one that lost it loses it
there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from machinery.meta.apply.entries import APPLY, Entry, Owner, Owners, read_entries, write_entries
from machinery.meta.apply.fieldset import contains, difference, from_path

SCALE_VERSION: Final = "autoscaling/v1"
_IN_SCALE: Final = ("f:spec", "f:replicas")


def to_scale(stored: Any, replicas_path: Sequence[str] = ("spec", "replicas")) -> list[dict[str, Any]]:
    """The object's managedFields as the Scale shows them."""
    path = tuple("f:" + name for name in replicas_path)
    owners: Owners = {}
    for key, entry in (read_entries(stored) or {}).items():
        if contains(entry.fields, path):
            shown = key._replace(api_version="" if key.operation == APPLY else SCALE_VERSION)
            owners[shown] = Entry(from_path(*_IN_SCALE), SCALE_VERSION, entry.time)
    return write_entries(owners)


def to_parent(
    stored: Any, scale: Any, api_version: str, replicas_path: Sequence[str] = ("spec", "replicas"),
) -> list[dict[str, Any]]:
    """The object's managedFields after a write to its Scale, whose managedFields are `scale`."""
    path = tuple("f:" + name for name in replicas_path)
    field = from_path(*path)

    def here(key: Owner) -> Owner:
        return key._replace(api_version="" if key.operation == APPLY else api_version)

    in_scale = {
        here(key): entry for key, entry in (read_entries(scale) or {}).items() if contains(entry.fields, _IN_SCALE)}
    owners: Owners = {}
    for key, entry in (read_entries(stored) or {}).items():
        fields = entry.fields
        if contains(fields, path) and here(key) not in in_scale:
            fields = difference(fields, field)
        if fields:
            owners[key] = Entry(fields, entry.api_version, entry.time)
    for key in in_scale:
        if key not in owners or not contains(owners[key].fields, path):
            owners[key] = Entry(field, api_version, None)  # upstream forgets the time here; entries sort by it
    return write_entries(owners)
