"""TokenRequest: a new token for a service account, perhaps bound to an object of its namespace or to a node."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from apiserver.auth.text import quote
from apiserver.auth.tokens.service_account import TokenIssuer
from apiserver.registry.interface import ObjectReader
from machinery.meta.errors import ApiError, bad_request, conflict, invalid, not_found
from machinery.meta.objects import format_time, group_of

Object = dict[str, Any]

GROUP = "authentication.k8s.io"
DEFAULT_SECONDS = 3600
MIN_SECONDS = 600
MAX_SECONDS = 1 << 32

_RESOURCES = {"Pod": "pods", "Secret": "secrets", "Node": "nodes"}


class TokenRequests:
    def __init__(self, issuer: TokenIssuer, reader: ObjectReader, api_audiences: Sequence[str]) -> None:
        self._issuer, self._reader = issuer, reader
        self._api_audiences = list(api_audiences)

    async def create(self, request: Object, namespace: str, name: str, now: datetime) -> Object:
        """The answer to ``POST serviceaccounts/NAME/token``; ``request`` is decoded and may be changed."""
        metadata = request.setdefault("metadata", {})
        spec = request.setdefault("spec", {})
        if metadata.get("name") and metadata["name"] != name:
            raise _invalid(
                name, "metadata.name", quote(metadata["name"]), "must match the service account name if specified"
            )
        account = await self._reader.get_fresh("", "serviceaccounts", namespace, name)
        if account is None:
            raise not_found("", "serviceaccounts", name)
        if not spec.get("audiences"):
            spec["audiences"] = list(self._api_audiences)
        seconds = spec.setdefault("expirationSeconds", DEFAULT_SECONDS)
        spec.setdefault("boundObjectRef", None)
        validate(spec)
        bound, node = await self._bound(spec["boundObjectRef"], namespace, name)
        issued = self._issuer.issue(
            account, spec["audiences"], seconds, bound=bound, node=node, server_audiences=self._api_audiences
        )
        metadata |= {
            "name": name,
            "namespace": namespace,
            "uid": metadata.get("uid") or str(uuid.uuid4()),
            "creationTimestamp": metadata.get("creationTimestamp") or format_time(now),
        }
        expires_at = datetime.fromtimestamp(issued.expires_at, UTC)
        request["status"] = {"token": issued.token, "expirationTimestamp": format_time(expires_at)}
        return request

    async def _bound(
        self, reference: Object | None, namespace: str, account: str
    ) -> tuple[tuple[str, Object] | None, Object | None]:
        """(("pod", object), claim of the pod's node)."""
        if reference is None:
            return None, None
        api_version, kind = reference.get("apiVersion") or "", reference.get("kind") or ""
        group = group_of(api_version)
        if group or kind not in _RESOURCES:
            version = api_version.rpartition("/")[2]
            raise bad_request(f"cannot bind token to object of type {group}/{version}, Kind={kind}")
        name = reference.get("name") or ""
        if not name:
            raise bad_request("Name parameter required.")
        resource = _RESOURCES[kind]
        obj = await self._reader.get_fresh("", resource, "" if kind == "Node" else namespace, name)
        if obj is None:
            raise not_found("", resource, name)
        node = None
        if kind == "Pod":
            if (obj["spec"].get("serviceAccountName") or "default") != account:
                raise bad_request(
                    f"cannot bind token for serviceaccount {quote(account)} to pod running with different "
                    "serviceaccount name."
                )
            node = await self._node_of(obj)
        if reference.get("uid") and reference["uid"] != obj["metadata"]["uid"]:
            raise conflict(
                group, kind, name,
                f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record. "
                "The object might have been deleted and then recreated",
            )  # fmt: skip
        return (kind.lower(), obj), node

    async def _node_of(self, pod: Object) -> Object | None:
        name = pod["spec"].get("nodeName")
        if not name:
            return None
        node = await self._reader.get_fresh("", "nodes", "", name)
        return {"name": name, "uid": node["metadata"]["uid"] if node is not None else ""}


def validate(spec: Object) -> None:
    seconds = spec["expirationSeconds"]
    if seconds < MIN_SECONDS:
        raise _invalid("", "spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
    if seconds > MAX_SECONDS:
        raise _invalid("", "spec.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds")


def _invalid(name: str, field: str, value: object, why: str) -> ApiError:
    cause = {"reason": "FieldValueInvalid", "message": f"Invalid value: {value}: {why}", "field": field}
    return invalid(GROUP, "TokenRequest", name, [cause])
