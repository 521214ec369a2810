"""From a kind as a person writes it to the keys of its objects, and back. Pure but for the definitions in the store."""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson

from apiserver.storage.interface import StorageError
from apiserver.storage.tools.source import ROOT, Source
from machinery.api.table import KINDS

DEFINITIONS = f"{ROOT}apiextensions.k8s.io/customresourcedefinitions/"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the objects of one resource are. ``kinds`` are the kinds that may be stored there."""

    group: str
    plural: str
    namespaced: bool
    kinds: frozenset[str]
    words: frozenset[str] = field(default=frozenset())

    @property
    def prefix(self) -> str:
        return f"{ROOT}{self.group}/{self.plural}/" if self.group else f"{ROOT}{self.plural}/"

    @property
    def title(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def key(self, namespace: str, name: str) -> str:
        return f"{self.prefix}{namespace}/{name}" if self.namespaced else f"{self.prefix}{name}"


def read_places(source: Source) -> list[Place]:
    """Built-in resources, then those that the store itself defines."""
    found: dict[tuple[str, str], Place] = {}
    for kind in KINDS:
        if not kind.is_stored:
            continue
        group, plural = kind.storage_resource
        words = {kind.plural, kind.singular, kind.kind.lower(), *kind.short_names, kind.group_resource}
        known = found.get((group, plural))
        kinds = {kind.kind} | (known.kinds if known else frozenset())
        words |= known.words if known else frozenset()
        found[group, plural] = Place(group, plural, kind.namespaced, frozenset(kinds), frozenset(words))
    for item in source.objects(DEFINITIONS):
        place = _custom(item.value)
        if place is not None:
            found.setdefault((place.group, place.plural), place)
    return list(found.values())


def _custom(value: bytes) -> Place | None:
    try:
        spec = orjson.loads(value)["spec"]
        names = spec["names"]
        group, plural = spec["group"], names["plural"]
        words = {plural, f"{plural}.{group}", names["kind"].lower(), names.get("singular", ""),
                 *names.get("shortNames", ())}  # fmt: skip
        return Place(
            group, plural, spec["scope"] == "Namespaced", frozenset({names["kind"]}), frozenset(words - {""})
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # whoever checks the store says so


def find_place(places: list[Place], word: str) -> Place:
    """The first match wins, as with every client: built-in resources come before custom ones."""
    for place in places:
        if word.lower() in place.words or word.lower() == place.title:
            return place
    raise StorageError(f"the store knows no kind {word!r}")


def place_of(places: list[Place], key: str) -> Place | None:
    """The longest prefix decides: a group may be named like a resource."""
    fitting = [place for place in places if key.startswith(place.prefix)]
    return max(fitting, key=lambda place: len(place.prefix), default=None)
