"""What happened to an object between two writes, in words: which fields, by whom, when. Pure.

A store keeps values, not causes. Who wrote is read from ``managedFields``: a write leaves its manager's entry different
from before. A write that changes nothing an entry speaks of (the control plane's own bookkeeping) has no name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from apiserver.storage.tools.source import Version

_IDENTITIES = ("uid", "type", "name", "ip", "key", "containerPort", "port")  # what tells items of a list apart
_SHOWN = 120


@dataclass(frozen=True, slots=True)
class Change:
    path: str
    old: Any  # None: it was not there
    new: Any  # None: it is not there any more

    def __str__(self) -> str:
        if self.old is None:
            return f"+ {self.path}: {_brief(self.new)}"
        if self.new is None:
            return f"- {self.path}: {_brief(self.old)}"
        return f"~ {self.path}: {_brief(self.old)} -> {_brief(self.new)}"


@dataclass(frozen=True, slots=True)
class Step:
    revision: int
    what: str  # created | updated | deleted | kept (its predecessor is compacted)
    managers: tuple[str, ...]
    at: str
    changes: tuple[Change, ...]


def compute_history(versions: Sequence[Version]) -> list[Step]:
    """``versions`` of one key, oldest first."""
    steps: list[Step] = []
    before: dict[str, Any] | None = None
    last = 0
    for version in versions:
        if version.deleted:
            steps.append(Step(version.revision, "deleted", (), _deletion_time(before), ()))
            before, last = None, version.revision
            continue
        obj = _parse(version.value)
        if before is not None and version.previous in (0, last) and last:
            managers, at = _writers(before, obj)
            steps.append(Step(version.revision, "updated", managers, at, tuple(compare(before, obj))))
        else:
            managers, at = _writers({}, obj)
            created = not version.previous
            at = str(obj.get("metadata", {}).get("creationTimestamp", "")) if created else at
            steps.append(Step(version.revision, "created" if created else "kept", managers, at, ()))
        before, last = obj, version.revision
    return steps


def compare(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    left, right = dict(_leaves(_visible(old), "")), dict(_leaves(_visible(new), ""))
    paths = [*left, *(path for path in right if path not in left)]
    return [
        Change(path, left.get(path), right.get(path))
        for path in sorted(paths) if left.get(path) != right.get(path)
    ]  # fmt: skip


def _parse(value: bytes) -> dict[str, Any]:
    try:
        obj = orjson.loads(value)
    except ValueError:
        return {"undecodable": value[:40].hex()}
    return obj if isinstance(obj, dict) else {"undecodable": obj}


def _visible(obj: dict[str, Any]) -> dict[str, Any]:
    meta = obj.get("metadata")
    if not isinstance(meta, dict):
        return obj
    return {**obj, "metadata": {name: value for name, value in meta.items() if name != "managedFields"}}


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            step = f"[{name}]" if "." in name or "/" in name else f".{name}" if path else name
            yield from _leaves(inner, path + step)
    elif isinstance(value, list) and value:
        identity = _identity(value)
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{inner[identity] if identity else index}]")
    else:
        yield path, value


def _identity(items: list[Any]) -> str:
    """A field that every item has and that no two share: then items are compared with themselves, wherever they are."""
    if not all(isinstance(item, dict) for item in items):
        return ""
    for name in _IDENTITIES:
        values = [item.get(name) for item in items]
        if all(isinstance(value, str | int) for value in values) and len(set(values)) == len(values):
            return name
    return ""


def _writers(old: dict[str, Any], new: dict[str, Any]) -> tuple[tuple[str, ...], str]:
    """Managers whose entries are new or different, and the latest of their times."""
    known = _entries(old)
    touched = [entry for identity, entry in _entries(new).items() if known.get(identity) != entry]
    # Whoever takes a field over also changes the entry of the one who had it; but that one's time stays.
    dated = [entry for entry in touched if entry.get("time") != known.get(_identity_of(entry), {}).get("time")]
    touched = dated or touched
    names = dict.fromkeys(
        entry["manager"] + (f" ({entry['subresource']})" if entry.get("subresource") else "") for entry in touched
    )
    return tuple(names), max((str(entry.get("time", "")) for entry in touched), default="")


def _entries(obj: dict[str, Any]) -> dict[tuple[Any, ...], dict[str, Any]]:
    meta = obj.get("metadata")
    entries = meta.get("managedFields") if isinstance(meta, dict) else None
    return {
        _identity_of(entry): entry
        for entry in entries or () if isinstance(entry, dict) and isinstance(entry.get("manager"), str)
    }  # fmt: skip


def _identity_of(entry: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(entry.get(name) for name in ("manager", "operation", "apiVersion", "subresource"))


def _deletion_time(before: dict[str, Any] | None) -> str:
    meta = (before or {}).get("metadata")
    return str(meta.get("deletionTimestamp", "")) if isinstance(meta, dict) else ""


def _brief(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
