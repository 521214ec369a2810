"""Which flow schema a request belongs to. Pure; schemas are compiled once and asked in the order of precedence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from apiserver.auth.interface import User
from apiserver.server.request_info import RequestInfo

Object = dict[str, Any]
ALL = "*"
_ACCOUNT_PREFIX = "system:serviceaccount:"
Test = Callable[[User, RequestInfo], bool]


@dataclass(frozen=True, slots=True)
class Schema:
    name: str
    uid: str
    level: str
    #: ByUser, ByNamespace, or "" where all requests are one flow.
    distinguisher: str
    rules: tuple[tuple[Test, Test], ...]

    def matches(self, user: User, info: RequestInfo) -> bool:
        return any(about(user, info) and whom(user, info) for whom, about in self.rules)

    def flow(self, user: User, info: RequestInfo) -> str:
        if self.distinguisher == "ByUser":
            return user.name
        return info.namespace if self.distinguisher == "ByNamespace" else ""


def compile_schemas(objects: Sequence[Object]) -> list[Schema]:
    """In the order in which they are asked."""
    ordered = sorted(objects, key=lambda obj: (obj["spec"].get("matchingPrecedence") or 0, obj["metadata"]["name"]))
    return [compile_schema(obj) for obj in ordered]


def compile_schema(obj: Object) -> Schema:
    meta, spec = obj["metadata"], obj["spec"]
    rules = tuple((_subjects(rule.get("subjects") or ()), _what(rule)) for rule in spec.get("rules") or ())
    return Schema(
        meta["name"], meta.get("uid") or "", spec["priorityLevelConfiguration"]["name"],
        (spec.get("distinguisherMethod") or {}).get("type") or "", rules,
    )  # fmt: skip


def _subjects(subjects: Sequence[Object]) -> Test:
    users: set[str] = set()
    groups: set[str] = set()
    prefixes: list[str] = []
    for subject in subjects:
        match subject["kind"]:
            case "User":
                users.add(subject["user"]["name"])
            case "Group":
                groups.add(subject["group"]["name"])
            case "ServiceAccount":
                account = subject["serviceAccount"]
                start = f"{_ACCOUNT_PREFIX}{account['namespace']}:"
                if account["name"] == ALL:
                    prefixes.append(start)
                else:
                    users.add(start + account["name"])
    everyone = ALL in users or ALL in groups

    def matches(user: User, info: RequestInfo) -> bool:
        return (
            everyone or user.name in users or not groups.isdisjoint(user.groups)
            or any(user.name.startswith(prefix) for prefix in prefixes)
        )  # fmt: skip

    return matches


def _what(rule: Object) -> Test:
    resources = [_resource_rule(each) for each in rule.get("resourceRules") or ()]
    others = [_path_rule(each) for each in rule.get("nonResourceRules") or ()]

    def matches(user: User, info: RequestInfo) -> bool:
        return any(test(user, info) for test in (resources if info.is_resource else others))

    return matches


def _resource_rule(rule: Object) -> Test:
    verbs, groups, resources = (frozenset(rule.get(name) or ()) for name in ("verbs", "apiGroups", "resources"))
    namespaces, cluster = frozenset(rule.get("namespaces") or ()), bool(rule.get("clusterScope"))

    def matches(user: User, info: RequestInfo) -> bool:
        if info.namespace:
            if ALL not in namespaces and info.namespace not in namespaces:
                return False
        elif not cluster:
            return False
        resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
        return (
            (ALL in verbs or info.verb in verbs)
            and (ALL in groups or info.group in groups)
            and (ALL in resources or resource in resources)
        )

    return matches


def _path_rule(rule: Object) -> Test:
    verbs, urls = frozenset(rule.get("verbs") or ()), rule.get("nonResourceURLs") or ()
    exact = frozenset(url for url in urls if not url.endswith("*"))
    prefixes = tuple(url[:-1] for url in urls if url.endswith("*"))

    def matches(user: User, info: RequestInfo) -> bool:
        if ALL not in verbs and info.verb not in verbs:
            return False
        return info.path in exact or any(info.path.startswith(prefix) for prefix in prefixes)

    return matches
