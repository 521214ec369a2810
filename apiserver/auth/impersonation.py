"""Acting as someone else: ``Impersonate-User`` and its companions.

There are two ways to be allowed. The old one: the verb ``impersonate`` on the user, each group, the uid and each extra;
it lets one do anything as that user. The constrained one: ``impersonate:<mode>`` on the same, and
``impersonate-on:<mode>:<verb>`` on what the request does, where the mode says what kind of user it is.
The constrained way is tried first, until the old one has served a caller once: then that one is, and its refusals are
the ones that the caller is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from apiserver.auth.authorization import forbidden_error
from apiserver.auth.certificates import extra_headers, header_values
from apiserver.auth.interface import (
    ALL_AUTHENTICATED,
    ALL_UNAUTHENTICATED,
    ANONYMOUS,
    SYSTEM_MASTERS,
    Attributes,
    Authorizer,
    User,
)
from apiserver.auth.text import quote
from apiserver.auth.tokens.service_account import EXTRA_PREFIX
from apiserver.auth.users import NODE_PREFIX, NODES_GROUP, service_account_groups, split_service_account
from machinery.meta.errors import ApiError, bad_request

AUTHENTICATION_GROUP = "authentication.k8s.io"
MAX_REMEMBERED_CALLERS = 10_000


@dataclass(frozen=True)
class Wanted:
    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def parse_headers(headers: Mapping[str, str]) -> Wanted | None:
    """What the headers ask for; None when they ask for nothing. Companions without a user are a mistake (400)."""
    name = headers.get("Impersonate-User", "")
    uid = headers.get("Impersonate-Uid", "")
    groups = tuple(header_values(headers, "Impersonate-Group"))
    extra = extra_headers(headers, "Impersonate-Extra-")
    if name:
        return Wanted(name, uid, groups, extra)
    if uid or groups or extra:
        raise bad_request(f"requested {_describe(uid, groups, extra)} without impersonating a user name")
    return None


class Impersonation:
    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer
        # Callers whom the old way has served.
        self._unconstrained: set[str] = set()

    def impersonate(self, attributes: Attributes, headers: Mapping[str, str]) -> User | None:
        """The user to act as; None when the request does not ask. ``attributes.user`` is who asks. Raises 400, 403."""
        if "Impersonate-User" not in headers and not any(name[:12].lower() == "impersonate-" for name in headers):
            return None
        wanted = parse_headers(headers)
        if wanted is None:
            return None
        caller = attributes.user.name
        if caller in self._unconstrained:
            if (old_refusal := self._old(attributes.user, wanted)) is None:
                return _user(wanted, constrained=False)
            if self._constrained(attributes, wanted) is None:
                return _user(wanted, constrained=True)
            raise old_refusal
        if (refusal := self._constrained(attributes, wanted)) is None:
            return _user(wanted, constrained=True)
        if (old_refusal := self._old(attributes.user, wanted)) is None:
            if len(self._unconstrained) > MAX_REMEMBERED_CALLERS:
                self._unconstrained.clear()
            self._unconstrained.add(caller)
            return _user(wanted, constrained=False)
        raise old_refusal if _mode(wanted) is None else refusal

    def _old(self, user: User, wanted: Wanted) -> ApiError | None:
        checks: list[Attributes] = []
        account = split_service_account(wanted.name)
        if account is not None:
            checks.append(_on(user, "impersonate", "serviceaccounts", account[1], namespace=account[0]))
        else:
            checks.append(_on(user, "impersonate", "users", wanted.name))
        checks += [_on(user, "impersonate", "groups", group) for group in wanted.groups]
        checks += _uid_and_extra(user, "impersonate", wanted)
        return self._first_refusal(checks)

    def _constrained(self, attributes: Attributes, wanted: Wanted) -> ApiError | None:
        mode = _mode(wanted)
        if mode is None:
            return forbidden_error(_on(attributes.user, "impersonate", "users", wanted.name))
        if mode == "arbitrary-node" and _runs_on(attributes.user, wanted.name[len(NODE_PREFIX) :]):
            if self._constrained_as("associated-node", attributes, wanted) is None:
                return None
        return self._constrained_as(mode, attributes, wanted)

    def _constrained_as(self, mode: str, attributes: Attributes, wanted: Wanted) -> ApiError | None:
        user = attributes.user
        on_request = replace(attributes, verb=f"impersonate-on:{mode}:{attributes.verb}")
        if (refusal := self._first_refusal([on_request])) is not None:
            return refusal
        verb = f"impersonate:{mode}"
        checks: list[Attributes] = []
        account = split_service_account(wanted.name)
        if mode == "serviceaccount" and account is not None:
            checks.append(
                _on(user, verb, "serviceaccounts", account[1], namespace=account[0], group=AUTHENTICATION_GROUP)
            )
        elif mode in ("arbitrary-node", "associated-node"):
            node = wanted.name[len(NODE_PREFIX) :]
            checks.append(_on(user, verb, "nodes", node, group=AUTHENTICATION_GROUP))
        else:
            checks.append(_on(user, verb, "users", wanted.name, group=AUTHENTICATION_GROUP))
        for group in wanted.groups:
            check = _on(user, verb, "groups", group, group=AUTHENTICATION_GROUP)
            if group == SYSTEM_MASTERS:
                return forbidden_error(check, "impersonating the system:masters group is not allowed")
            checks.append(check)
        extra_checks = _uid_and_extra(user, verb, wanted)
        for check in extra_checks:
            if check.resource == "userextras" and "/" not in check.subresource:
                return forbidden_error(check)  # a key without a domain belongs to no one who could grant it
        return self._first_refusal(checks + extra_checks)

    def _first_refusal(self, checks: list[Attributes]) -> ApiError | None:
        for attributes in checks:
            decision = self._authorizer.authorize(attributes)
            if not decision.allowed:
                return forbidden_error(attributes, decision.reason)
        return None


def _mode(wanted: Wanted) -> str | None:
    """None: this user can only be had the old way."""
    if split_service_account(wanted.name) is not None:
        return "serviceaccount"
    if wanted.name.startswith(NODE_PREFIX):
        # A node gets its group by itself; who names groups wants something else.
        return None if NODES_GROUP in wanted.groups else "arbitrary-node"
    return "user-info"


def _runs_on(user: User, node: str) -> bool:
    """Whether a service account's token is bound to that node, by its pod or by itself."""
    return split_service_account(user.name) is not None and user.extra.get(f"{EXTRA_PREFIX}node-name") == (node,)


def _user(wanted: Wanted, *, constrained: bool) -> User:
    groups = wanted.groups
    if not groups:
        account = split_service_account(wanted.name)
        if account is not None:
            groups = service_account_groups(account[0])
        elif constrained and wanted.name.startswith(NODE_PREFIX):
            groups = (NODES_GROUP,)
    if wanted.name == ANONYMOUS:
        if ALL_UNAUTHENTICATED not in groups:
            groups = (*groups, ALL_UNAUTHENTICATED)
    elif ALL_AUTHENTICATED not in groups and ALL_UNAUTHENTICATED not in groups:
        groups = (*groups, ALL_AUTHENTICATED)
    return User(wanted.name, wanted.uid, groups, wanted.extra)


def _on(user: User, verb: str, resource: str, name: str, *, namespace: str = "", group: str = "") -> Attributes:
    return Attributes(
        user=user, verb=verb, path="", is_resource=True, api_group=group, api_version="v1",
        resource=resource, namespace=namespace, name=name,
    )  # fmt: skip


def _uid_and_extra(user: User, verb: str, wanted: Wanted) -> list[Attributes]:
    checks = []
    if wanted.uid:
        checks.append(_on(user, verb, "uids", wanted.uid, group=AUTHENTICATION_GROUP))
    for key in sorted(wanted.extra):
        for value in wanted.extra[key]:
            check = _on(user, verb, "userextras", value, group=AUTHENTICATION_GROUP)
            checks.append(replace(check, subresource=key))
    return checks


def _describe(uid: str, groups: tuple[str, ...], extra: Mapping[str, tuple[str, ...]]) -> str:
    def strings(values: tuple[str, ...]) -> str:
        return "[]string{" + ", ".join(quote(value) for value in values) + "}"

    shown_groups = strings(groups) if groups else "[]string(nil)"
    shown_extra = (
        "map[string][]string{" + ", ".join(f"{quote(key)}:{strings(extra[key])[8:]}" for key in sorted(extra)) + "}"
        if extra
        else "map[string][]string(nil)"
    )
    return f'&user.DefaultInfo{{Name:"", UID:{quote(uid)}, Groups:{shown_groups}, Extra:{shown_extra}}}'
