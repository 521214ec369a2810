"""Roles and bindings, kept as compiled rules and found by subject: the state behind the RBAC authorizer.

Bindings change rarely and are asked about on every request, so every change is paid for here: each binding is filed
under each of its subjects, and ``generation`` tells holders of derived caches that they are stale. A role that is not
there is remembered as missing, because its binding then shows up in refusals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from apiserver.auth.interface import User
from apiserver.auth.rbac.rules import CompiledRule, Rule
from apiserver.auth.users import service_account_username
from apiserver.registry.interface import ObjectReader

GROUP = "rbac.authorization.k8s.io"

Object = dict[str, Any]
RoleKey = tuple[str, str]  # (namespace, name); namespace "" is a ClusterRole
SubjectKey = tuple[str, str]  # ("User" | "Group", name)


@dataclass(frozen=True, slots=True)
class Role:
    rules: tuple[Rule, ...]
    compiled: tuple[CompiledRule, ...]


@dataclass(frozen=True, slots=True)
class Grant:
    """One subject of one binding: who it names, what role, and how a review tells of it."""

    namespace: str
    binding: str
    role: RoleKey
    reason: str

    @property
    def missing_role(self) -> str:
        resource = "role" if self.role[0] else "clusterrole"
        return f'{resource}.{GROUP} "{self.role[1]}" not found'


class RbacIndex:
    def __init__(self, reader: ObjectReader) -> None:
        self.generation = 0
        self._roles: dict[RoleKey, Role] = {}
        self._bindings: dict[tuple[str, str], list[tuple[SubjectKey, Grant]]] = {}
        self._by_subject: dict[SubjectKey, dict[tuple[str, str], list[Grant]]] = {}
        reader.on_change(GROUP, "clusterroles", self._role_changed)
        reader.on_change(GROUP, "roles", self._role_changed)
        reader.on_change(GROUP, "clusterrolebindings", self._binding_changed)
        reader.on_change(GROUP, "rolebindings", self._binding_changed)

    def role(self, key: RoleKey) -> Role | None:
        return self._roles.get(key)

    def grants(self, user: User, namespace: str) -> list[Grant]:
        """What is bound to a user or its groups, everywhere and in a namespace; cluster bindings first, by name."""
        found: list[Grant] = []
        for subject in _subjects_of(user):
            for (binding_namespace, _), grants in self._by_subject.get(subject, {}).items():
                if not binding_namespace or binding_namespace == namespace:
                    found += grants
        found.sort(key=lambda grant: (grant.namespace, grant.binding))
        return found

    def _role_changed(self, event: str, obj: Object) -> None:
        self.generation += 1
        metadata = obj["metadata"]
        key = (metadata.get("namespace") or "", metadata["name"])
        if event == "DELETED":
            self._roles.pop(key, None)
            return
        rules = tuple(obj.get("rules") or ())
        self._roles[key] = Role(rules, tuple(CompiledRule(rule) for rule in rules))

    def _binding_changed(self, event: str, obj: Object) -> None:
        self.generation += 1
        metadata = obj["metadata"]
        key = (metadata.get("namespace") or "", metadata["name"])
        for subject, _ in self._bindings.pop(key, ()):
            filed = self._by_subject[subject]
            filed.pop(key, None)
            if not filed:
                del self._by_subject[subject]
        if event == "DELETED":
            return
        filed_now = [(subject, grant) for subject, grant in _grants_of(key, obj)]
        self._bindings[key] = filed_now
        for subject, grant in filed_now:
            self._by_subject.setdefault(subject, {}).setdefault(key, []).append(grant)


def _subjects_of(user: User) -> Iterator[SubjectKey]:
    yield ("User", user.name)
    for group in dict.fromkeys(user.groups):
        yield ("Group", group)


def _grants_of(key: tuple[str, str], obj: Object) -> Iterator[tuple[SubjectKey, Grant]]:
    namespace, name = key
    reference = obj["roleRef"]
    role = ("" if reference.get("kind") == "ClusterRole" else namespace, reference.get("name", ""))
    binding = f'RoleBinding "{name}/{namespace}"' if namespace else f'ClusterRoleBinding "{name}"'
    said = set()
    for subject in obj.get("subjects") or ():
        kind, subject_name = subject.get("kind"), subject.get("name", "")
        shown = subject_name
        if kind == "ServiceAccount":
            account_namespace = subject.get("namespace") or namespace
            if not account_namespace:
                continue
            shown = f"{subject_name}/{account_namespace}"
            subject_key = ("User", service_account_username(account_namespace, subject_name))
        elif kind in ("User", "Group"):
            subject_key = (kind, subject_name)
        else:
            continue
        if subject_key in said:
            continue
        said.add(subject_key)
        reason = f'RBAC: allowed by {binding} of {reference.get("kind")} "{role[1]}" to {kind} "{shown}"'
        yield subject_key, Grant(namespace, name, role, reason)
