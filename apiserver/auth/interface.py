"""Who asks, and may they: the two questions the filter chain puts, as types.

An authenticator answers with a :class:`User` or None (not my kind of credential); it raises ``ApiError`` 401 for a
credential of its kind that is bad. An authorizer is a synchronous function of memory: it runs on every request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

ANONYMOUS = "system:anonymous"
ALL_UNAUTHENTICATED = "system:unauthenticated"
ALL_AUTHENTICATED = "system:authenticated"
SYSTEM_MASTERS = "system:masters"


@dataclass(frozen=True, slots=True)
class User:
    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a request wants to do. Requests for no resource have ``path`` and ``verb`` (lower-case method) only."""

    user: User
    verb: str
    path: str
    is_resource: bool = False
    api_group: str = ""
    api_version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    label_selector: str = ""
    field_selector: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """``reason`` is shown to the client after a refusal (``…: RBAC: …``) and in a SubjectAccessReview."""

    allowed: bool
    reason: str = ""
    denied: bool = False


@dataclass(frozen=True, slots=True)
class Credentials:
    """What came with a request: the headers that matter and the verified client certificate, if any."""

    authorization: str | None
    client_certificate_der: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    websocket_protocols: tuple[str, ...] = ()


class Authenticator(Protocol):
    async def authenticate(self, credentials: Credentials) -> User | None: ...


class Authorizer(Protocol):
    def authorize(self, attributes: Attributes) -> Decision: ...
