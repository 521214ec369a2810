"""``authorizer`` in expressions: what the user of the request, or a service account, may do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from apiserver.auth.interface import ALL_AUTHENTICATED, Attributes, Authorizer, User


@dataclass(frozen=True, slots=True)
class Verdict:
    allowed: bool
    reason: str
    errored: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A question being put together: each step answers a new one."""

    authorizer: Authorizer
    attributes: Attributes

    def _with(self, **change: Any) -> Check:
        return replace(self, attributes=replace(self.attributes, **change))

    def resource(self, name: str) -> Check:
        return self._with(resource=name)

    def subresource(self, name: str) -> Check:
        return self._with(subresource=name)

    def namespace(self, name: str) -> Check:
        return self._with(namespace=name)

    def name(self, name: str) -> Check:
        return self._with(name=name)

    def fieldSelector(self, text: str) -> Check:  # a name in expressions
        return self._with(field_selector=text)

    def labelSelector(self, text: str) -> Check:
        return self._with(label_selector=text)

    def check(self, verb: str) -> Verdict:
        decision = self.authorizer.authorize(replace(self.attributes, verb=verb))
        return Verdict(decision.allowed, decision.reason)


class AuthorizerValue(dict[str, Any]):
    """A map with one key, because ``authorizer.requestResource`` is a field."""

    def __init__(self, authorizer: Authorizer, user: User, request_resource: Attributes | None) -> None:
        asked = request_resource or Attributes(user, "", "", is_resource=True, api_version="*")
        super().__init__(requestResource=Check(authorizer, asked))
        self._authorizer = authorizer
        self._user = user

    def group(self, name: str) -> Check:
        return Check(
            self._authorizer, Attributes(self._user, "", "", is_resource=True, api_group=name, api_version="*")
        )

    def path(self, path: str) -> Check:
        return Check(self._authorizer, Attributes(self._user, "", path))

    def serviceAccount(self, namespace: str, name: str) -> AuthorizerValue:
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", ALL_AUTHENTICATED)
        return AuthorizerValue(
            self._authorizer, User(f"system:serviceaccount:{namespace}:{name}", groups=groups), None
        )
