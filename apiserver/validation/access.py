"""RBAC: roles and bindings."""

from __future__ import annotations

from typing import Any

from apiserver.validation.field import Errors, Object
from apiserver.validation.objectmeta import (
    PATH_SEGMENT,
    shown_selector,
    validate_metadata,
    validate_metadata_update,
)
from apiserver.validation.rules import Rules
from apiserver.validation.workloads import strict_selector
from machinery.meta import names

_GROUP = "rbac.authorization.k8s.io"


def _policy_rules(errors: Errors, rules: list[Object], namespaced: bool) -> None:
    for i, rule in enumerate(rules):
        where = f"rules[{i}]"
        if not rule.get("verbs"):
            errors.required(where + ".verbs", "verbs must contain at least one value")
        if rule.get("nonResourceURLs"):
            if namespaced:
                errors.invalid(where + ".nonResourceURLs", rule["nonResourceURLs"],
                               "namespaced rules cannot apply to non-resource URLs")
            if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
                errors.invalid(where + ".nonResourceURLs", rule["nonResourceURLs"],
                               "rules cannot apply to both regular resources and non-resource URLs")
            continue
        if not rule.get("apiGroups"):
            errors.required(where + ".apiGroups", "resource rules must supply at least one api group")
        if not rule.get("resources"):
            errors.required(where + ".resources", "resource rules must supply at least one resource")


def create_role(errors: Errors, role: Object) -> None:
    validate_metadata(errors, role, True, PATH_SEGMENT)
    _policy_rules(errors, role.get("rules") or [], True)


def update_role(errors: Errors, role: Object, old: Object, subresource: str) -> None:
    create_role(errors, role)
    validate_metadata_update(errors, role, old)


def create_cluster_role(errors: Errors, role: Object) -> None:
    validate_metadata(errors, role, False, PATH_SEGMENT)
    _policy_rules(errors, role.get("rules") or [], False)
    aggregation = role.get("aggregationRule")
    if aggregation is None:
        return
    selectors = aggregation.get("clusterRoleSelectors") or []
    if not selectors:
        errors.required("aggregationRule.clusterRoleSelectors",
                        "at least one clusterRoleSelector required if aggregationRule is non-nil")
    for i, selector in enumerate(selectors):
        where = f"aggregationRule.clusterRoleSelectors[{i}]"
        from apiserver.validation.objectmeta import validate_selector

        validate_selector(errors, where, selector)
        if strict_selector(selector) is None:
            errors.invalid(where, shown_selector(selector), "invalid label selector.")


def update_cluster_role(errors: Errors, role: Object, old: Object, subresource: str) -> None:
    create_cluster_role(errors, role)
    validate_metadata_update(errors, role, old)


def _subject(errors: Errors, path: str, subject: Object, namespaced: bool) -> None:
    name, kind, group = subject.get("name") or "", subject.get("kind") or "", subject.get("apiGroup") or ""
    if not name:
        errors.required(path + ".name")
    if kind == "ServiceAccount":
        if name:
            errors.invalid_all(path + ".name", name, names.dns1123_subdomain(name))
        if group:
            errors.not_supported(path + ".apiGroup", group, ("",))
        if not namespaced and not subject.get("namespace"):
            errors.required(path + ".namespace")
    elif kind in ("User", "Group"):
        if group != _GROUP:
            errors.not_supported(path + ".apiGroup", group, (_GROUP,))
    else:
        errors.not_supported(path + ".kind", kind, ("ServiceAccount", "User", "Group"))


def _binding(errors: Errors, binding: Object, namespaced: bool) -> None:
    validate_metadata(errors, binding, namespaced, PATH_SEGMENT)
    reference = binding.get("roleRef") or {}
    group, kind, name = (reference.get(field) or "" for field in ("apiGroup", "kind", "name"))
    if group != _GROUP:
        errors.not_supported("roleRef.apiGroup", group, (_GROUP,))
    kinds = ("Role", "ClusterRole") if namespaced else ("ClusterRole",)
    if kind not in kinds:
        errors.not_supported("roleRef.kind", kind, kinds)
    if not name:
        errors.required("roleRef.name")
    else:
        errors.invalid_all("roleRef.name", name, names.path_segment(name))
    for i, subject in enumerate(binding.get("subjects") or ()):
        _subject(errors, f"subjects[{i}]", subject, namespaced)


def create_role_binding(errors: Errors, binding: Object) -> None:
    _binding(errors, binding, True)


def create_cluster_role_binding(errors: Errors, binding: Object) -> None:
    _binding(errors, binding, False)


def _shown_reference(reference: Object | None) -> Any:
    given = reference or {}
    return {"APIGroup": given.get("apiGroup") or "", "Kind": given.get("kind") or "", "Name": given.get("name") or ""}


def _binding_rules(namespaced: bool) -> Rules:
    def create(errors: Errors, binding: Object) -> None:
        _binding(errors, binding, namespaced)

    def update(errors: Errors, binding: Object, old: Object, subresource: str) -> None:
        create(errors, binding)
        validate_metadata_update(errors, binding, old)
        if _shown_reference(old.get("roleRef")) != _shown_reference(binding.get("roleRef")):
            errors.invalid("roleRef", _shown_reference(binding.get("roleRef")), "cannot change roleRef")

    return Rules(create, update)


RULES = {
    (_GROUP, "Role"): Rules(create_role, update_role),
    (_GROUP, "ClusterRole"): Rules(create_cluster_role, update_cluster_role),
    (_GROUP, "RoleBinding"): _binding_rules(True),
    (_GROUP, "ClusterRoleBinding"): _binding_rules(False),
}
