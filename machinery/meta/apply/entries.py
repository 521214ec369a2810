"""`metadata.managedFields` as a table of owners: read, fold, sort, write.

An owner is a manager's name, its operation and the subresource it wrote through; Update entries of one manager
under two API versions are two owners, Apply entries are one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from machinery.meta.apply.fieldset import FieldSet, in_order, is_well_formed, union

APPLY: Final = "Apply"
UPDATE: Final = "Update"
MAX_UPDATE_ENTRIES: Final = 10
ANCIENT: Final = "ancient-changes"


class Owner(NamedTuple):
    manager: str
    operation: str
    api_version: str  # empty for Apply
    subresource: str


@dataclass(slots=True)
class Entry:
    fields: FieldSet
    api_version: str
    time: str | None


Owners = dict[Owner, Entry]


def owner(manager: str, operation: str, api_version: str, subresource: str) -> Owner:
    return Owner(manager, operation, "" if operation == APPLY else api_version, subresource)


def read_entries(raw: Any, check: bool = False) -> Owners | None:
    """The table, or None when any entry is no entry. `check` looks into the fields, too: entries that clients wrote."""
    owners: Owners = {}
    for item in raw or ():
        operation, api_version = item.get("operation"), item.get("apiVersion")
        if operation not in (APPLY, UPDATE) or not api_version or item.get("fieldsType") != "FieldsV1":
            return None
        fields = item.get("fieldsV1") or {}
        if check and not is_well_formed(fields):
            return None
        key = owner(item.get("manager") or "", operation, api_version, item.get("subresource") or "")
        owners[key] = Entry(fields, api_version, item.get("time"))
    return owners


def write_entries(owners: Owners) -> list[dict[str, Any]]:
    """The list as it is stored: Apply before Update, then by time and name."""
    out = []
    for key, entry in sorted(owners.items(), key=_place):
        item: dict[str, Any] = {
            "manager": key.manager, "operation": key.operation, "apiVersion": entry.api_version,
            "time": entry.time, "fieldsType": "FieldsV1", "fieldsV1": in_order(entry.fields)}
        if entry.time is None:
            del item["time"]
        if not key.manager:
            del item["manager"]
        if key.subresource:
            item["subresource"] = key.subresource
        out.append(item)
    return out


def _place(pair: tuple[Owner, Entry]) -> tuple[str, str, str, str, str]:
    key, entry = pair
    return key.operation, entry.time or "", key.manager, entry.api_version, key.subresource


def fold_updates(owners: Owners) -> None:
    """Keep the number of Update entries bounded: the oldest become one entry a version."""
    updates = [key for key in owners if key.operation == UPDATE]
    left = len(updates)
    if left <= MAX_UPDATE_ENTRIES:
        return
    updates.sort(key=lambda key: (owners[key].time or "", key.manager, key.subresource))
    first: dict[str, Owner] = {}
    for key in updates:
        if left <= MAX_UPDATE_ENTRIES:
            return
        version = owners[key].api_version
        if version not in first:
            first[version] = key
            continue
        bucket = owner(ANCIENT, UPDATE, version, "")
        if bucket not in owners:
            owners[bucket] = owners.pop(first[version])
        folded = owners.pop(key)
        owners[bucket] = Entry(union(folded.fields, owners[bucket].fields), version, folded.time)
        left -= 1
