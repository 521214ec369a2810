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
class Reinvocation:
    """Who wants to see what later plugins changed. ``again`` asks the chain for a second and last round."""

    round: int = 0
    again: bool = False
    #: Called in this round and interested in later changes; moved to ``wanted`` by the next change.
    invoked: set[str] = field(default_factory=set)
    wanted: set[str] = field(default_factory=set)
    #: The object as the webhooks left it.
    output: bytes = b""

    def require(self) -> None:
        self.again = True
        self.wanted |= self.invoked
        self.invoked.clear()


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
    reinvocation: Reinvocation = field(default_factory=Reinvocation)


class AdmissionPlugin(Protocol):
    """Subclasses implement ``admit`` (mutating), ``validate`` (validating) or both; ``handles`` is asked first."""

    name: str

    def handles(self, request: AdmissionRequest) -> bool: ...

    async def admit(self, request: AdmissionRequest) -> None: ...

    async def validate(self, request: AdmissionRequest) -> None: ...
