"""Admission: what may change or refuse a write after it is authorized and before it is stored.

The registry calls every mutating plugin in order, defaults again, validates, then calls every validating plugin.
A plugin refuses by raising ``ApiError``. Plugins read the cluster through an ``ObjectReader`` given to their
constructor; they never reach the store.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from apiserver.auth.interface import User

Operation = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]


@dataclass(slots=True)
class AdmissionRequest:
    """One write. ``obj`` may be mutated in place by mutating plugins; ``old`` is read-only."""

    operation: Operation
    group: str
    version: str
    resource: str
    kind: str
    subresource: str
    namespace: str
    name: str
    user: User
    obj: dict[str, Any] | None
    old: dict[str, Any] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    dry_run: bool = False
    warnings: list[str] = field(default_factory=list)
    audit_annotations: dict[str, str] = field(default_factory=dict)


class AdmissionPlugin(Protocol):
    """Subclasses implement ``admit`` (mutating), ``validate`` (validating) or both; ``handles`` is asked first."""

    name: str

    def handles(self, request: AdmissionRequest) -> bool: ...

    async def admit(self, request: AdmissionRequest) -> None: ...

    async def validate(self, request: AdmissionRequest) -> None: ...
