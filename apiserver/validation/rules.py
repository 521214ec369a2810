"""The table of rules by kind, and the order in which an object meets them.

A kind has a rule for creation and one for updates. Kinds without rules of their own are checked for their metadata
alone. An update first meets the checks that the generic store makes for every kind, then those of its kind, which
repeat some: clients see both.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from apiserver.validation.field import Cause, Errors, Object
from apiserver.validation.objectmeta import validate_common, validate_metadata, validate_metadata_update

CreateRule = Callable[[Errors, Object], None]
UpdateRule = Callable[[Errors, Object, Object, str], None]


class Rules(NamedTuple):
    create: CreateRule
    update: UpdateRule


class KindLike(Protocol):
    """What this package needs to know of a kind."""

    @property
    def group(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def namespaced(self) -> bool: ...

    @property
    def custom(self) -> bool: ...


_MODULES = (
    "pods", "services", "configuration", "workloads", "batch", "namespaces_nodes", "volumes", "quota", "endpoints",
    "access", "networking", "policy", "storage", "admission", "certificates", "flowcontrol", "devices", "autoscaling",
    "events", "extensions", "scheduling_classes", "definitions",
)
_rules: dict[tuple[str, str], Rules] = {}


def _table() -> dict[tuple[str, str], Rules]:
    if not _rules:
        for name in _MODULES:
            _rules.update(import_module(f"apiserver.validation.{name}").RULES)
    return _rules


def validate(kind: KindLike, obj: Object, old: Object | None, subresource: str = "") -> list[Cause]:
    """Everything that is wrong with a new object (`old` is None) or with an update of `old`."""
    return validate_create(kind, obj) if old is None else validate_update(kind, obj, old, subresource)


def validate_create(kind: KindLike, obj: Object) -> list[Cause]:
    errors = Errors()
    if kind.custom:
        validate_metadata(errors, obj, kind.namespaced, core=False)
        return errors
    rules = _table().get((kind.group, kind.kind))
    if rules is None:
        validate_metadata(errors, obj, kind.namespaced)
    else:
        rules.create(errors, obj)
    return errors


def validate_update(kind: KindLike, obj: Object, old: Object, subresource: str = "") -> list[Cause]:
    errors = Errors()
    validate_common(errors, obj["metadata"])
    validate_common(errors, obj["metadata"], finalizers=True)
    if kind.custom:
        validate_metadata_update(errors, obj, old, core=False)
        return errors
    rules = _table().get((kind.group, kind.kind))
    if rules is None:
        validate_metadata_update(errors, obj, old)
    else:
        rules.update(errors, obj, old, subresource)
    return errors


def revalidate(create: CreateRule, immutable: tuple[str, ...] = ()) -> Rules:
    """The common shape of rules: an update is metadata, some immutable parts, and the whole of it again."""

    def update(errors: Errors, obj: Object, old: Object, subresource: str) -> None:
        validate_metadata_update(errors, obj, old)
        if subresource == "status":
            return
        for name in immutable:
            errors.immutable(name, _at(obj, name), _at(old, name))
        create(errors, obj)

    return Rules(create, update)


def update_only(create: CreateRule, spec: CreateRule, immutable: tuple[str, ...] = ()) -> Rules:
    """Rules of kinds whose update looks at metadata once: what changed, and then the spec."""

    def update(errors: Errors, obj: Object, old: Object, subresource: str) -> None:
        validate_metadata_update(errors, obj, old)
        if subresource == "status":
            return
        spec(errors, obj)
        for name in immutable:
            errors.immutable(name, _at(obj, name), _at(old, name))

    return Rules(create, update)


def recreate(create: CreateRule) -> Rules:
    """Rules of kinds whose update is judged like a creation."""

    def update(errors: Errors, obj: Object, old: Object, subresource: str) -> None:
        if subresource != "status":
            create(errors, obj)

    return Rules(create, update)


def _at(obj: Object, path: str) -> Any:
    value: Any = obj
    for part in path.split("."):
        value = (value or {}).get(part)
    return value
