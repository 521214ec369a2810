"""Defaults of RBAC, certificates and tokens."""

from __future__ import annotations

from typing import Any

from machinery.api.defaults.fill import fill, fill_zero, items, section

Object = dict[str, Any]

RBAC_GROUP = "rbac.authorization.k8s.io"


def default_binding(binding: Object) -> None:
    fill_zero(section(binding, "roleRef"), "apiGroup", RBAC_GROUP)
    for subject in items(binding, "subjects"):
        if subject.get("kind") in ("User", "Group"):
            fill_zero(subject, "apiGroup", RBAC_GROUP)


def default_token_request(request: Object) -> None:
    fill(section(request, "spec"), "expirationSeconds", 3600)


DEFAULTS = {
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): default_binding,
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): default_binding,
    ("authentication.k8s.io/v1", "TokenRequest"): default_token_request,
}
