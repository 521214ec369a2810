"""How full a store is, and of what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from apiserver.storage.interface import Stored
from apiserver.storage.tools.places import Place


@dataclass(frozen=True, slots=True)
class Share:
    resource: str
    count: int
    bytes: int


def compute_shares(objects: Iterable[Stored], places: list[Place]) -> list[Share]:
    """By resource, the largest first. Pure."""
    titles = {tuple(place.prefix.split("/")[2:-1]): place.title for place in places}
    sums: dict[str, list[int]] = {}
    for item in objects:
        parts = item.key.split("/")
        title = titles.get((parts[2], parts[3])) if len(parts) > 3 else None
        title = title or titles.get((parts[2],)) or "/".join(parts[:-1])
        found = sums.setdefault(title, [0, 0])
        found[0] += 1
        found[1] += len(item.value)
    shares = [Share(title, count, size) for title, (count, size) in sums.items()]
    return sorted(shares, key=lambda share: (-share.bytes, share.resource))
