"""Which entries a list or a watch is about.

The namespace and exact field matches also choose the bucket (see buckets), the rest is asked entry by entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from apiserver.storage.cacher.entry import Entry


class Matcher(Protocol):
    """A label selector or a field selector (machinery.meta.selectors)."""

    @property
    def requirements(self) -> Any: ...

    def matches(self, values: Mapping[str, str], /) -> bool: ...


@dataclass(frozen=True, slots=True)
class Predicate:
    """``exact`` are fields that must equal a value; they may also be in ``field_selector``, which is then the truth."""

    namespace: str = ""
    name: str = ""
    label_selector: Matcher | None = None
    field_selector: Matcher | None = None
    exact: Mapping[str, str] = field(default_factory=dict)

    @property
    def selective(self) -> bool:
        """False when it keeps everything of its namespace: then nothing has to be asked and remaining is known."""
        return bool(self.name or self.exact or _asks(self.label_selector) or _asks(self.field_selector))

    def matches(self, entry: Entry) -> bool:
        if self.namespace and entry.namespace != self.namespace:
            return False
        if self.name and entry.name != self.name:
            return False
        fields = entry.fields
        for name, value in self.exact.items():
            if fields.get(name, "") != value:
                return False
        if self.label_selector is not None and not self.label_selector.matches(entry.labels):
            return False
        return self.field_selector is None or self.field_selector.matches(fields_with_identity(entry))


EVERYTHING = Predicate()


def fields_with_identity(entry: Entry) -> Mapping[str, str]:
    """``metadata.name`` and ``metadata.namespace`` are selectable for every kind and not stored twice."""
    return {**entry.fields, "metadata.name": entry.name, "metadata.namespace": entry.namespace}


def make_predicate(
    *, namespace: str = "", label_selector: Matcher | None = None, field_selector: Matcher | None = None
) -> Predicate:
    """From the selectors of a request, with what they say exactly pulled out."""
    label_selector = label_selector if _asks(label_selector) else None
    if not _asks(field_selector):
        return Predicate(namespace, label_selector=label_selector)
    assert field_selector is not None
    exact = {
        _part(requirement, "key", "field"): _value(requirement)
        for requirement in field_selector.requirements
        if getattr(requirement, "operator", "=") in ("=", "==")
    }
    name = exact.pop("metadata.name", "")
    wanted = exact.pop("metadata.namespace", "")
    return Predicate(namespace or wanted, name, label_selector, field_selector, exact)


def _asks(selector: Matcher | None) -> bool:
    return selector is not None and bool(selector.requirements or getattr(selector, "nothing", False))


def _part(requirement: Any, *names: str) -> str:
    return next(str(getattr(requirement, name)) for name in names if hasattr(requirement, name))


def _value(requirement: Any) -> str:
    values = getattr(requirement, "values", None)
    return str(values[0]) if values else str(getattr(requirement, "value", ""))
