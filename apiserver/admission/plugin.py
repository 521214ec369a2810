"""What built-in plugins share: a declaration of what they handle, and the words of a refusal.

A plugin says by tables what it is about (resources, operations, subresources); the chain turns these into one
look-up per kind of write, so that a write costs nothing for the plugins that have nothing to do with it.
"""

from __future__ import annotations

from typing import Any, ClassVar

from apiserver.admission.interface import AdmissionRequest, Operation
from machinery.meta.errors import ApiError, forbidden

Object = dict[str, Any]
Resource = tuple[str, str]  # (group, resource)

PODS: Resource = ("", "pods")


class Plugin:
    """A built-in plugin. ``resources`` None means every resource; subresources are handled only when named."""

    name: str
    resources: ClassVar[frozenset[Resource] | None] = None
    operations: ClassVar[frozenset[Operation]] = frozenset({"CREATE"})
    subresources: ClassVar[frozenset[str] | None] = frozenset({""})

    def handles(self, request: AdmissionRequest) -> bool:
        """Must depend on nothing but operation, group, resource and subresource: the chain remembers the answer."""
        return (
            request.operation in self.operations
            and (self.resources is None or (request.group, request.resource) in self.resources)
            and (self.subresources is None or request.subresource in self.subresources)
        )

    async def admit(self, request: AdmissionRequest) -> None:
        """Mutate ``request.obj`` or refuse."""

    async def validate(self, request: AdmissionRequest) -> None:
        """Refuse."""


def object_name(request: AdmissionRequest) -> str:
    """The name for messages: while a name is still to be generated, its prefix stands for it."""
    metadata = (request.obj or request.old or {}).get("metadata") or {}
    prefix = metadata.get("generateName")
    if request.operation == "CREATE" and prefix and request.name in ("", metadata.get("name")):
        return str(prefix)
    return request.name or metadata.get("name") or "Unknown"


def refuse(request: AdmissionRequest, why: str) -> ApiError:
    return forbidden(request.group, request.resource, object_name(request), why)


def metadata_of(obj: Object) -> Object:
    metadata: Object = obj.setdefault("metadata", {})
    return metadata
