"""The RBAC authorizer: a decision is one dictionary look-up for whoever has asked before.

Decisions are cached by user and by what is asked, without the object's name when no rule on the way looks at names.
Any change to a role or binding drops the cache as a whole: changes are rare, and a stale permission is never served.
"""

from __future__ import annotations

from collections.abc import Iterator

from apiserver.auth.interface import Attributes, Decision, User
from apiserver.auth.rbac.index import Grant, RbacIndex, Role
from apiserver.auth.rbac.rules import Rule
from apiserver.auth.text import aggregate

# Names of users and resources come from clients, so the cache has a ceiling; it starts anew when it is full.
MAX_CACHED_DECISIONS = 50_000

_NO_OPINION = Decision(allowed=False)


class RbacAuthorizer:
    def __init__(self, index: RbacIndex) -> None:
        self._index = index
        self._generation = -1
        self._decisions: dict[tuple[object, ...], Decision | None] = {}

    def authorize(self, attributes: Attributes) -> Decision:
        if self._generation != self._index.generation or len(self._decisions) > MAX_CACHED_DECISIONS:
            self._decisions.clear()
            self._generation = self._index.generation
        user = attributes.user
        key: tuple[object, ...]
        if attributes.is_resource:
            key = (
                user.name, user.groups, attributes.verb, attributes.resource, attributes.namespace,
                attributes.api_group, attributes.subresource,
            )  # fmt: skip
        else:
            key = (user.name, user.groups, attributes.verb, attributes.path)
        decisions = self._decisions
        try:
            decision = decisions[key]
        except KeyError:
            decision = decisions[key] = self._decide_without_name(attributes)
        # None: it depends on the name.
        return decision if decision is not None else self.explain(attributes)

    def explain(self, attributes: Attributes) -> Decision:
        """The decision with the first binding that gives it, not from the cache."""
        errors: list[str] = []
        for grant, role in self._roles(attributes.user, attributes.namespace):
            if role is None:
                errors.append(grant.missing_role)
            elif any(rule.matches(attributes) for rule in role.compiled):
                return Decision(allowed=True, reason=grant.reason)
        return Decision(allowed=False, reason=f"RBAC: {aggregate(errors)}") if errors else _NO_OPINION

    def rules_for(self, user: User, namespace: str) -> tuple[list[Rule], list[str]]:
        """Every rule that a user has in a namespace, and what could not be resolved."""
        rules: list[Rule] = []
        errors: list[str] = []
        for grant, role in self._roles(user, namespace):
            if role is None:
                errors.append(grant.missing_role)
            else:
                rules += role.rules
        return rules, list(dict.fromkeys(errors))

    def _decide_without_name(self, attributes: Attributes) -> Decision | None:
        if not attributes.is_resource:
            return self.explain(attributes)
        for _, role in self._roles(attributes.user, attributes.namespace):
            for rule in role.compiled if role else ():
                if rule.names and rule.matches_kind(attributes):
                    return None
                if rule.matches_kind(attributes):
                    return self.explain(attributes)
        return self.explain(attributes)

    def _roles(self, user: User, namespace: str) -> Iterator[tuple[Grant, Role | None]]:
        for grant in self._index.grants(user, namespace):
            # A path is of no namespace: what a binding in a namespace gives does not reach it.
            yield grant, self._index.role(grant.role)
