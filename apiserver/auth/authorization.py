"""May they: the authorizers in order, and the words of a refusal."""

from __future__ import annotations

from collections.abc import Sequence

from apiserver.auth.interface import SYSTEM_MASTERS, Attributes, Authorizer, Decision
from apiserver.auth.rbac.authorizer import RbacAuthorizer
from apiserver.auth.text import quote
from machinery.meta.errors import ApiError, forbidden

_ALLOWED = Decision(allowed=True)


class UnionAuthorizer:
    """The first authorizer that allows or denies decides; what the others had to say is kept for the refusal.

    Members of system:masters may do everything, whatever the policy says: the way back in after a mistake.
    """

    def __init__(self, authorizers: Sequence[Authorizer]) -> None:
        self._authorizers = tuple(authorizers)

    def authorize(self, attributes: Attributes) -> Decision:
        if SYSTEM_MASTERS in attributes.user.groups:
            return _ALLOWED
        reasons: list[str] = []
        for authorizer in self._authorizers:
            decision = authorizer.authorize(attributes)
            if decision.allowed or decision.denied:
                return decision
            if decision.reason:
                reasons.append(decision.reason)
        return Decision(allowed=False, reason="\n".join(reasons))

    def explain(self, attributes: Attributes) -> Decision:
        """As :meth:`authorize`, with the exact reason for a review."""
        decision = self.authorize(attributes)
        if not decision.allowed or SYSTEM_MASTERS in attributes.user.groups:
            return decision
        for authorizer in self._authorizers:
            explained = (
                authorizer.explain(attributes)
                if isinstance(authorizer, RbacAuthorizer)
                else authorizer.authorize(attributes)
            )
            if explained.allowed:
                return explained
        return decision


class AlwaysAllow:
    def authorize(self, attributes: Attributes) -> Decision:
        return _ALLOWED


def forbidden_error(attributes: Attributes, reason: str = "") -> ApiError:
    message = describe(attributes) + (f": {reason}" if reason else "")
    if not attributes.is_resource:
        return forbidden("", "", "", message)
    return forbidden(attributes.api_group, attributes.resource, attributes.name, message)


def describe(attributes: Attributes) -> str:
    user = quote(attributes.user.name)
    if not attributes.is_resource:
        return f"User {user} cannot {attributes.verb} path {quote(attributes.path)}"
    resource = attributes.resource + (f"/{attributes.subresource}" if attributes.subresource else "")
    where = f"in the namespace {quote(attributes.namespace)}" if attributes.namespace else "at the cluster scope"
    return (
        f"User {user} cannot {attributes.verb} resource {quote(resource)} in API group {quote(attributes.api_group)} "
        f"{where}"
    )
