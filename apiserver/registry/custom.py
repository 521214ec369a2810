"""The row of a custom resource: a kind that carries the form which its definition gave it.

The registry and the endpoints know only this protocol; the form itself is made in ``apiserver/crd``. A changed
definition is a new row, so whatever is kept by row goes with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from machinery.api.kinds import Kind
from machinery.api.printers.columns import Printer
from machinery.api.schema import SchemaNode
from machinery.meta.errors import ApiError, internal
from machinery.meta.objects import Object

Cause = dict[str, Any]


class Form(Protocol):
    """How objects of one version of a definition are read and judged."""

    #: For server-side apply and managedFields.
    node: SchemaNode
    printer: Printer
    #: Told on every request of a deprecated version; "" for the others.
    warning: str
    #: Versions are converted by a webhook, which this server does not call: objects are served as they are stored only.
    webhook_conversion: bool
    #: The definition is being deleted: nothing new is taken.
    terminating: bool
    #: Labels of field selectors, and how to find their values.
    selectable: Mapping[str, Callable[[Object], str]]
    #: apiVersions of the definition that are served.
    served: frozenset[str]
    def published(self, *, v3: bool) -> Object:
        """What OpenAPI publishes."""
        ...

    def decode(self, obj: Object) -> list[str]:
        """What a client sent becomes an object: metadata read, unknown fields out, defaults in. Answers the paths of
        unknown fields; raises ``machinery.api.decode.DecodeError``."""
        ...

    def fill(self, obj: Object) -> None:
        """Unknown fields out, defaults in, without a word."""
        ...

    def prune(self, obj: Object) -> None: ...

    def causes(
        self, kind: Kind, obj: Object, old: Object | None, subresource: str, warn: Callable[[str], None]
    ) -> list[Cause]: ...


@dataclass(frozen=True, slots=True, eq=False)
class CustomKind(Kind):
    """``hub_form`` is the form of the version in which objects are stored."""

    form: Form = None  # type: ignore[assignment]
    hub_form: Form = None  # type: ignore[assignment]


def served_form(kind: CustomKind, stored: Object) -> Object:
    """A stored object (in whatever version it was written) as ``kind`` shows it: read in the storage version, with its
    defaults, then relabelled."""
    from machinery.meta.objects import deep_copy

    if kind.form.webhook_conversion and stored.get("apiVersion") != kind.api_version:
        raise _not_converted(kind)
    obj = {**deep_copy(stored), "kind": kind.kind}
    kind.hub_form.fill(obj)
    obj["apiVersion"] = kind.api_version
    if kind.form is not kind.hub_form:
        kind.form.prune(obj)
    return obj


def _not_converted(kind: CustomKind) -> ApiError:
    """Better no object than one whose fields mean something else."""
    text = f"conversion webhook for {kind.api_version}, Kind={kind.kind} failed: this server calls no conversion webhooks"
    return internal(text)


def stored_form(kind: CustomKind, obj: Object) -> Object:
    group, version = kind.hub_version
    if kind.form.webhook_conversion and kind.form is not kind.hub_form:
        raise _not_converted(kind)
    obj = {**obj, "apiVersion": f"{group}/{version}"}
    if kind.form is not kind.hub_form:
        from machinery.meta.objects import deep_copy

        obj = deep_copy(obj)
        kind.hub_form.prune(obj)
    return obj
