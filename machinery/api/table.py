"""The table of kinds: lookup by resource, by kind, by what a person types; iteration in discovery order.

A table is an object, not a module of globals: custom resources come and go at run time, a test can hold its own, and
two servers in one process do not share one. ``generation`` moves with every change, so that whoever derives documents
from the table (discovery, OpenAPI) knows when its copy is old. ``KINDS`` is the process-wide table of built-in kinds.

Order of groups and versions is priority, then name, as an aggregation layer sorts APIServices.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from machinery.api.builtin import BUILTIN_KINDS, GROUP_PRIORITY
from machinery.api.kinds import Kind, Subresource

#: Priority of groups of custom resources.
CUSTOM_GROUP_PRIORITY = 1000

_VERSION = re.compile(r"^v([1-9]\d*)(?:(alpha|beta)([1-9]\d*))?$")
_STABILITY = {None: 2, "beta": 1, "alpha": 0}


def version_sort_key(version: str) -> tuple[int, int, int, int, str]:
    """Sorts versions best first: v2, v1, v1beta1, v1alpha2, then everything else by name."""
    match = _VERSION.match(version)
    if match is None:
        return (1, 0, 0, 0, version)
    major, stage, minor = match.groups()
    return (0, -_STABILITY[stage], -int(major), -int(minor or 0), "")


class KindTable:
    """All kinds that are served. Not thread-safe: one event loop owns it."""

    def __init__(self, kinds: Iterable[Kind] = ()) -> None:
        self.generation = 0
        self._by_resource: dict[tuple[str, str, str], Kind] = {}
        self._by_kind: dict[tuple[str, str, str], Kind] = {}
        self._priority: dict[str, int] = dict(GROUP_PRIORITY)
        self._ordered: list[Kind] | None = None
        self.add(*kinds)

    # -- changes ---------------------------------------------------------------------------------------------------

    def add(self, *kinds: Kind) -> None:
        """Add rows; a row of the same group, version and plural is replaced."""
        for kind in kinds:
            old = self._by_resource.get((kind.group, kind.version, kind.plural))
            if old is not None:
                self.remove(old)
            self._by_resource[kind.group, kind.version, kind.plural] = kind
            self._by_kind[kind.group, kind.version, kind.kind] = kind
        self._changed()

    def remove(self, *kinds: Kind) -> None:
        for kind in kinds:
            self._by_resource.pop((kind.group, kind.version, kind.plural), None)
            if self._by_kind.get((kind.group, kind.version, kind.kind)) is kind:
                del self._by_kind[kind.group, kind.version, kind.kind]
        self._changed()

    def set_group_priority(self, group: str, priority: int) -> None:
        self._priority[group] = priority
        self._changed()

    def _changed(self) -> None:
        self.generation += 1
        self._ordered = None

    # -- lookup ----------------------------------------------------------------------------------------------------

    def by_resource(self, group: str, version: str, plural: str) -> Kind | None:
        return self._by_resource.get((group, version, plural))

    def by_kind(self, group: str, version: str, kind: str) -> Kind | None:
        return self._by_kind.get((group, version, kind))

    def by_api_version(self, api_version: str, kind: str) -> Kind | None:
        """By what an object says of itself: ``apps/v1`` and ``Deployment``."""
        group, _, version = api_version.rpartition("/")
        return self._by_kind.get((group, version, kind))

    def of(self, obj: dict[str, object]) -> Kind | None:
        """The row of an object, by its apiVersion and kind."""
        return self.by_api_version(str(obj.get("apiVersion", "")), str(obj.get("kind", "")))

    def resolve(self, word: str) -> Kind | None:
        """What a person means: plural, singular, short name or kind in any case, optionally with ``.group`` or
        ``.version.group``. The first match in discovery order wins, as in kubectl."""
        for name, version, group in _readings(word.lower()):
            for kind in self:
                if group is not None and kind.group != group and not kind.group.startswith(f"{group}."):
                    continue
                if version is not None and kind.version != version:
                    continue
                if name in (kind.plural, kind.singular, kind.kind.lower()) or name in kind.short_names:
                    return kind
        return None

    def preferred(self, group: str, plural: str) -> Kind | None:
        """The row of a resource in the best version that is served."""
        for kind in self:
            if kind.group == group and kind.plural == plural:
                return kind
        return None

    def hub_of(self, kind: Kind) -> Kind:
        """The row in whose form objects of ``kind`` are stored."""
        if kind.hub is None:
            return kind
        for other in self._by_resource.values():
            if (other.group, other.version) == kind.hub and other.storage_resource == kind.storage_resource:
                return other
        return kind

    # -- order -----------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Kind]:
        """In discovery order: groups, their versions, resources by name."""
        if self._ordered is None:
            self._ordered = sorted(self._by_resource.values(), key=self._order)
        return iter(self._ordered)

    def __len__(self) -> int:
        return len(self._by_resource)

    def _order(self, kind: Kind) -> tuple[object, ...]:
        return (*self._group_order(kind.group), *version_sort_key(kind.version), kind.plural)

    def _group_order(self, group: str) -> tuple[int, str]:
        return (-self._priority.get(group, CUSTOM_GROUP_PRIORITY), group)

    def groups(self) -> list[str]:
        """Groups in discovery order; the core group is ""."""
        return list(dict.fromkeys(kind.group for kind in self))

    def versions(self, group: str) -> list[str]:
        """Versions of a group, the preferred one first."""
        return list(dict.fromkeys(kind.version for kind in self if kind.group == group))

    def group_versions(self) -> list[tuple[str, str]]:
        return list(dict.fromkeys((kind.group, kind.version) for kind in self))

    def resources(self, group: str, version: str) -> list[Kind]:
        return [kind for kind in self if kind.group == group and kind.version == version]

    def group_priority(self, group: str) -> int:
        return self._priority.get(group, CUSTOM_GROUP_PRIORITY)


def _readings(word: str) -> Iterator[tuple[str, str | None, str | None]]:
    """The ways to read ``word``: name, name.group, name.version.group."""
    yield word, None, None
    name, dot, rest = word.partition(".")
    if dot:
        yield name, None, rest
        version, dot, group = rest.partition(".")
        if dot:
            yield name, version, group


def new_table() -> KindTable:
    """A table of the built-in kinds."""
    return KindTable(BUILTIN_KINDS)


KINDS = new_table()

__all__ = ["KINDS", "Kind", "KindTable", "Subresource", "new_table", "version_sort_key"]
