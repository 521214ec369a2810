"""The steps of a write that are the same for every kind, each given by the package that owns it.

The generic store calls them in its order; this module only knows where they live. Admission sees a write as an
``AdmissionRequest``; the plugins' warnings and audit annotations go back to the write.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from apiserver.admission.interface import AdmissionPlugin, AdmissionRequest
from apiserver.registry.custom import CustomKind
from apiserver.registry.strategy import Write
from apiserver.validation.warnings import warnings_for
from machinery.api.kinds import Kind
from machinery.api.schema import SchemaNode, schema_for
from machinery.meta.objects import Object, format_time

Cause = dict[str, Any]
Defaulter = Callable[[Kind, Object], None]
Validator = Callable[[Kind, Object, "Object | None", str], list[Cause]]
Tracker = Callable[[Write, Object, "Object | None", "SchemaNode | None"], None]


class Schemas:
    """Schema trees by kind: built-in ones from the release, custom ones from their definitions."""

    @staticmethod
    def of(kind: Kind) -> SchemaNode | None:
        return kind.form.node if isinstance(kind, CustomKind) else schema_for(kind)


class WritePipeline:
    def __init__(
        self, schemas: Schemas, *, defaulter: Defaulter, validator: Validator, tracker: Tracker,
        plugins: Sequence[AdmissionPlugin] = (),
    ) -> None:
        self._schemas = schemas
        self._defaulter = defaulter
        self._validator = validator
        self._tracker = tracker
        self.plugins: tuple[AdmissionPlugin, ...] = tuple(plugins)

    def now(self) -> str:
        return format_time(datetime.now(UTC))

    def default(self, kind: Kind, obj: Object) -> None:
        self._defaulter(kind, obj)

    def track(self, write: Write, obj: Object, old: Object | None) -> None:
        if write.manager:
            self._tracker(write, obj, old, self._schemas.of(write.kind))

    def causes(self, write: Write, kind: Kind, obj: Object, old: Object | None) -> list[Cause]:
        if write.bypass:
            return []
        found = self._validator(kind, obj, old, write.subresource)
        if not found:
            for text in warnings_for(kind, obj, old, write.subresource):
                write.warn(text)
        return found

    async def admit(self, write: Write, operation: str, obj: Object | None, old: Object | None) -> None:
        if not self.plugins or write.bypass:
            return
        request = admission_request(write, operation, obj, old)
        for plugin in self.plugins:
            if plugin.handles(request):
                await plugin.admit(request)
        self._take_back(write, request)

    async def validate_admission(self, write: Write, operation: str, obj: Object | None, old: Object | None) -> None:
        if not self.plugins or write.bypass:
            return
        request = admission_request(write, operation, obj, old)
        for plugin in self.plugins:
            if plugin.handles(request):
                await plugin.validate(request)
        self._take_back(write, request)

    @staticmethod
    def _take_back(write: Write, request: AdmissionRequest) -> None:
        for text in request.warnings:
            write.warn(text)
        write.audit.update(request.audit_annotations)


def admission_request(write: Write, operation: str, obj: Object | None, old: Object | None) -> AdmissionRequest:
    kind = write.kind
    return AdmissionRequest(
        operation,  # type: ignore[arg-type]
        kind.group, kind.version, kind.plural, kind.kind, write.subresource, write.namespace, write.name, write.user,
        obj, old, write.options, write.dry_run,
    )  # fmt: skip
