"""Nobody gives away what they do not hold: the checks on writes of roles and bindings.

The registry calls :meth:`EscalationGuard.check` for roles, clusterroles and their bindings, with the stored object on
an update. Whoever may ``escalate`` (roles) or ``bind`` (bindings) is exempt, and so is system:masters.
"""

from __future__ import annotations

from typing import Any

from apiserver.auth.interface import SYSTEM_MASTERS, Attributes, Authorizer, User
from apiserver.auth.rbac.authorizer import RbacAuthorizer
from apiserver.auth.rbac.coverage import compact, describe, missing_parts
from apiserver.auth.rbac.index import GROUP, RbacIndex
from apiserver.auth.rbac.rules import Rule
from apiserver.auth.text import go_strings, quote
from machinery.meta.errors import forbidden, not_found

Object = dict[str, Any]

RESOURCES = frozenset({"roles", "clusterroles", "rolebindings", "clusterrolebindings"})

_EVERYTHING: list[Rule] = [
    {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
    {"nonResourceURLs": ["*"], "verbs": ["*"]},
]

# What the garbage collector and controllers maintain; a write of these alone gives nobody anything.
_COLLECTOR_FIELDS = ("ownerReferences", "finalizers", "managedFields", "resourceVersion", "generation")


class EscalationGuard:
    def __init__(self, index: RbacIndex, rbac: RbacAuthorizer, authorizer: Authorizer) -> None:
        self._index, self._rbac, self._authorizer = index, rbac, authorizer

    def check(
        self, user: User, resource: str, namespace: str, obj: Object, old: Object | None = None, *, name: str = ""
    ) -> None:
        """Raises 403 (or 404 for a binding of a missing role). ``name`` is the one in the request's path, if any."""
        if SYSTEM_MASTERS in user.groups or (old is not None and only_collector_fields(obj, old)):
            return
        if resource in ("roles", "clusterroles"):
            self._check_role(user, resource, namespace, obj, old, name)
        elif resource in ("rolebindings", "clusterrolebindings"):
            self._check_binding(user, resource, namespace, obj)

    def _check_role(
        self, user: User, resource: str, namespace: str, obj: Object, old: Object | None, name: str
    ) -> None:
        if self._may(user, "escalate", resource, namespace, name):
            return
        object_name = obj["metadata"].get("name", "")
        if any(_aggregates(role) for role in (obj, old) if role is not None):
            if self._why_not(user, namespace, _EVERYTHING) is not None:
                raise forbidden(
                    GROUP, resource, object_name, "must have cluster-admin privileges to use the aggregationRule"
                )
        if (why := self._why_not(user, namespace, obj.get("rules") or [])) is not None:
            raise forbidden(GROUP, resource, object_name, why)

    def _check_binding(self, user: User, resource: str, namespace: str, obj: Object) -> None:
        reference = obj.get("roleRef") or {}
        role_resource = "clusterroles" if reference.get("kind") == "ClusterRole" else "roles"
        role_name = reference.get("name", "")
        if self._may(user, "bind", role_resource, namespace, role_name):
            return
        role = self._index.role((namespace if role_resource == "roles" else "", role_name))
        if role is None:
            raise not_found(GROUP, resource, role_name)
        if (why := self._why_not(user, namespace, list(role.rules))) is not None:
            raise forbidden(GROUP, resource, obj["metadata"].get("name", ""), why)

    def _may(self, user: User, verb: str, resource: str, namespace: str, name: str) -> bool:
        attributes = Attributes(
            user=user, verb=verb, path="", is_resource=True, api_group=GROUP, api_version="*",
            resource=resource, namespace=namespace, name=name,
        )  # fmt: skip
        return self._authorizer.authorize(attributes).allowed

    def _why_not(self, user: User, namespace: str, wanted: list[Rule]) -> str | None:
        held, errors = self._rbac.rules_for(user, namespace)
        missing = compact(missing_parts(held, wanted))
        if not missing:
            return None
        lines = "\n".join(sorted({describe(rule) for rule in missing}))
        message = (
            f"user {quote(user.name)} (groups={go_strings(user.groups)}) is attempting to grant RBAC permissions "
            f"not currently held:\n{lines}"
        )
        if errors:
            message += f"; resolution errors: [{', '.join(errors)}]"
        return message


def only_collector_fields(obj: Object, old: Object) -> bool:
    """Whether an update changes nothing but what the garbage collector maintains, and does change something there."""
    return _without_collector_fields(obj) == _without_collector_fields(old) and any(
        (obj["metadata"].get(field) or []) != (old["metadata"].get(field) or [])
        for field in ("ownerReferences", "finalizers")
    )


def _without_collector_fields(obj: Object) -> Object:
    metadata = {key: value for key, value in obj["metadata"].items() if key not in _COLLECTOR_FIELDS}
    return {**obj, "metadata": metadata}


def _aggregates(role: Object) -> bool:
    return bool((role.get("aggregationRule") or {}).get("clusterRoleSelectors"))
