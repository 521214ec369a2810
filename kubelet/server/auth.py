"""Who may talk to a node's server: the API server by its client certificate, others by token, both asked of the API.

A client certificate of the cluster's CA names user and groups; a bearer token is put to a TokenReview. Members of
system:masters may do anything (that is the API server itself), everybody else is put to a SubjectAccessReview for
``nodes/<what>`` of this node: upstream's webhook mode, with its cache times.
"""

from __future__ import annotations

import ssl
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from machinery.client import Client, ConnectError
from machinery.meta.errors import ApiError

ALLOWED_SECONDS = 300.0
DENIED_SECONDS = 30.0
TOKEN_SECONDS = 120.0
REMEMBERED = 1000
MASTERS = "system:masters"
VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
SUBRESOURCES = {
    "stats": "stats", "metrics": "metrics", "logs": "log", "checkpoint": "checkpoint", "pods": "pods",
    "runningpods": "pods", "healthz": "healthz", "configz": "configz",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Caller:
    name: str
    groups: tuple[str, ...] = ()


class Denied(Exception):
    """401 or 403 with the text to send."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


def subresource_of(path: str) -> str:
    """The node subresource that a path stands for (upstream's ``NodeRequestAttributes``)."""
    first = path.strip("/").split("/")[0]
    return SUBRESOURCES.get(first, "proxy")


class Gate:
    """Decides about requests to one node."""

    def __init__(self, client: Client, node_name: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._client, self._node, self._monotonic = client, node_name, monotonic
        self._tokens: OrderedDict[str, tuple[float, Caller | None]] = OrderedDict()
        self._verdicts: OrderedDict[tuple[str, ...], tuple[float, bool]] = OrderedDict()

    async def check(self, method: str, path: str, ssl_object: ssl.SSLObject | None, authorization: str) -> Caller:
        """The caller, or Denied."""
        caller = certificate_caller(ssl_object) or await self._token_caller(authorization)
        if caller is None:
            raise Denied(401, "Unauthorized")
        if MASTERS in caller.groups:
            return caller
        verb = VERBS.get(method, method.lower())
        subresource = subresource_of(path)
        if not await self._allowed(caller, verb, subresource):
            raise Denied(
                403,
                f"Forbidden (user={caller.name}, verb={verb}, resource=nodes, subresource={subresource})",
            )
        return caller

    async def _token_caller(self, authorization: str) -> Caller | None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            return None
        kept = self._tokens.get(token)
        if kept is not None and kept[0] > self._monotonic():
            return kept[1]
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        status = await self._ask("authentication.k8s.io/v1", "tokenreviews", review)
        caller = None
        if status.get("authenticated"):
            user = status.get("user") or {}
            caller = Caller(user.get("username", ""), tuple(user.get("groups") or ()))
        _remember(self._tokens, token, (self._monotonic() + TOKEN_SECONDS, caller))
        return caller

    async def _allowed(self, caller: Caller, verb: str, subresource: str) -> bool:
        key = (caller.name, *caller.groups, verb, subresource)
        kept = self._verdicts.get(key)
        if kept is not None and kept[0] > self._monotonic():
            return kept[1]
        review = {
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {
                "user": caller.name, "groups": list(caller.groups),
                "resourceAttributes": {
                    "verb": verb, "version": "v1", "resource": "nodes", "subresource": subresource, "name": self._node,
                },
            },
        }  # fmt: skip
        allowed = bool((await self._ask("authorization.k8s.io/v1", "subjectaccessreviews", review)).get("allowed"))
        lasts = ALLOWED_SECONDS if allowed else DENIED_SECONDS
        _remember(self._verdicts, key, (self._monotonic() + lasts, allowed))
        return allowed

    async def _ask(self, gv: str, plural: str, review: dict[str, Any]) -> dict[str, Any]:
        try:
            return (await self._client.create(gv, plural, review)).get("status") or {}
        except (ApiError, ConnectError) as error:
            raise Denied(401, f"the API server cannot be asked: {error}") from error


def certificate_caller(ssl_object: ssl.SSLObject | None) -> Caller | None:
    """User and groups of a verified client certificate (CN and O)."""
    certificate = ssl_object.getpeercert() if ssl_object is not None else None
    if not certificate:
        return None
    names: dict[str, list[str]] = {}
    for pairs in certificate.get("subject", ()):
        for pair in pairs:
            names.setdefault(str(pair[0]), []).append(str(pair[1]))
    common = names.get("commonName", [""])[0]
    return Caller(common, tuple(names.get("organizationName", ()))) if common else None


def _remember(table: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    table[key] = value
    table.move_to_end(key)
    if len(table) > REMEMBERED:
        table.popitem(last=False)
