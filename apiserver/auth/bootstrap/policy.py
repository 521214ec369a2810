"""The default roles and bindings as API objects, built from the tables: what a fresh cluster allows, and to whom."""

from __future__ import annotations

from typing import Any

from apiserver.auth.bootstrap.controller_roles import CONTROLLER_ROLES
from apiserver.auth.bootstrap.roles import AGGREGATED, AGGREGATED_INTO, CLUSTER_ROLES, EVENTS
from apiserver.auth.interface import ALL_AUTHENTICATED, ALL_UNAUTHENTICATED, SYSTEM_MASTERS

Object = dict[str, Any]

GROUP = "rbac.authorization.k8s.io"
API_VERSION = f"{GROUP}/v1"
AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
CONTROLLER_PREFIX = "system:controller:"

# binding name -> subjects; the role has the same name.
_USER_BINDINGS: dict[str, tuple[tuple[str, str], ...]] = {
    "cluster-admin": (("Group", SYSTEM_MASTERS),),
    "system:monitoring": (("Group", "system:monitoring"),),
    "system:discovery": (("Group", ALL_AUTHENTICATED),),
    "system:basic-user": (("Group", ALL_AUTHENTICATED),),
    "system:public-info-viewer": (("Group", ALL_AUTHENTICATED), ("Group", ALL_UNAUTHENTICATED)),
    "system:node-proxier": (("User", "system:kube-proxy"),),
    "system:kube-controller-manager": (("User", "system:kube-controller-manager"),),
    "system:kube-dns": (("ServiceAccount", "kube-dns"),),
    "system:kube-scheduler": (("User", "system:kube-scheduler"),),
    "system:volume-scheduler": (("User", "system:kube-scheduler"),),
    "system:service-account-issuer-discovery": (("Group", "system:serviceaccounts"),),
    # Nodes get their rights from the node authorizer; the binding exists so that its role is easy to find.
    "system:node": (),
}

_LEADER_RULES = (
    "coordination.k8s.io leases create,get,list,update,watch",
    "coordination.k8s.io leasecandidates create,get,list,update,watch",
)

# (namespace, role) -> rules
_ROLES: dict[tuple[str, str], tuple[str, ...]] = {
    ("kube-public", "system:controller:bootstrap-signer"): (
        "core configmaps get,list,watch",
        "core configmaps update cluster-info",
        EVENTS,
    ),
    ("kube-system", "extension-apiserver-authentication-reader"): (
        "core configmaps get,list,watch extension-apiserver-authentication",
    ),
    ("kube-system", "system::leader-locking-kube-controller-manager"): _LEADER_RULES,
    ("kube-system", "system::leader-locking-kube-scheduler"): _LEADER_RULES,
    ("kube-system", "system:controller:bootstrap-signer"): ("core secrets get,list,watch",),
    ("kube-system", "system:controller:cloud-provider"): ("core configmaps create,get,list,watch",),
    ("kube-system", "system:controller:token-cleaner"): ("core secrets delete,get,list,watch", EVENTS),
}

# (namespace, binding) -> (role, subjects)
_ROLE_BINDINGS: dict[tuple[str, str], tuple[str, tuple[tuple[str, str], ...]]] = {
    ("kube-public", "system:controller:bootstrap-signer"): (
        "system:controller:bootstrap-signer",
        (("ServiceAccount", "bootstrap-signer"),),
    ),
    ("kube-system", "system::extension-apiserver-authentication-reader"): (
        "extension-apiserver-authentication-reader",
        (("User", "system:kube-controller-manager"), ("User", "system:kube-scheduler")),
    ),
    ("kube-system", "system::leader-locking-kube-controller-manager"): (
        "system::leader-locking-kube-controller-manager",
        (("User", "system:kube-controller-manager"), ("ServiceAccount", "kube-controller-manager")),
    ),
    ("kube-system", "system::leader-locking-kube-scheduler"): (
        "system::leader-locking-kube-scheduler",
        (("User", "system:kube-scheduler"), ("ServiceAccount", "kube-scheduler")),
    ),
    ("kube-system", "system:controller:bootstrap-signer"): (
        "system:controller:bootstrap-signer",
        (("ServiceAccount", "bootstrap-signer"),),
    ),
    ("kube-system", "system:controller:cloud-provider"): (
        "system:controller:cloud-provider",
        (("ServiceAccount", "cloud-provider"),),
    ),
    ("kube-system", "system:controller:token-cleaner"): (
        "system:controller:token-cleaner",
        (("ServiceAccount", "token-cleaner"),),
    ),
}


def parse_rule(line: str) -> Object:
    """One line of the tables as a PolicyRule."""
    first, second, verbs, *names = line.split(" ")
    if first == "paths":
        return {"verbs": verbs.split(","), "nonResourceURLs": second.split(",")}
    rule: Object = {
        "verbs": verbs.split(","),
        "apiGroups": ["" if group == "core" else group for group in first.split("+")],
        "resources": second.split(","),
    }
    if names:
        rule["resourceNames"] = names[0].split(",")
    return rule


def cluster_roles() -> list[Object]:
    roles = [_role(name, CLUSTER_ROLES.get(name)) for name in sorted({*CLUSTER_ROLES, *AGGREGATED})]
    roles += [_role(CONTROLLER_PREFIX + name, rules) for name, rules in CONTROLLER_ROLES.items()]
    return roles


def cluster_role_bindings() -> list[Object]:
    bindings = [_binding("ClusterRoleBinding", name, "ClusterRole", name, who) for name, who in _USER_BINDINGS.items()]
    for name in CONTROLLER_ROLES:
        full = CONTROLLER_PREFIX + name
        bindings.append(_binding("ClusterRoleBinding", full, "ClusterRole", full, (("ServiceAccount", name),)))
    return bindings


def roles() -> list[Object]:
    return [
        {
            "apiVersion": API_VERSION,
            "kind": "Role",
            "metadata": _metadata(name, namespace),
            "rules": [parse_rule(line) for line in lines],
        }
        for (namespace, name), lines in _ROLES.items()
    ]


def role_bindings() -> list[Object]:
    return [
        _binding("RoleBinding", name, "Role", role, subjects, namespace)
        for (namespace, name), (role, subjects) in _ROLE_BINDINGS.items()
    ]


def _metadata(name: str, namespace: str = "") -> Object:
    metadata: Object = {
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {AUTOUPDATE: "true"},
    }
    if namespace:
        metadata["namespace"] = namespace
    return metadata


def _role(name: str, lines: tuple[str, ...] | None) -> Object:
    role: Object = {"apiVersion": API_VERSION, "kind": "ClusterRole", "metadata": _metadata(name)}
    if into := AGGREGATED_INTO.get(name):
        role["metadata"]["labels"][f"{GROUP}/aggregate-to-{into}"] = "true"
    if name in AGGREGATED:
        role["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {f"{GROUP}/aggregate-to-{name}": "true"}}]}
        role["rules"] = None
    else:
        role["rules"] = [parse_rule(line) for line in lines or ()]
    return role


def _binding(
    kind: str, name: str, role_kind: str, role: str, subjects: tuple[tuple[str, str], ...], namespace: str = ""
) -> Object:
    binding: Object = {"apiVersion": API_VERSION, "kind": kind, "metadata": _metadata(name, namespace)}
    if subjects:
        binding["subjects"] = [_subject(subject_kind, subject) for subject_kind, subject in subjects]
    binding["roleRef"] = {"apiGroup": GROUP, "kind": role_kind, "name": role}
    return binding


def _subject(kind: str, name: str) -> Object:
    if kind == "ServiceAccount":
        return {"kind": kind, "name": name, "namespace": "kube-system"}
    return {"kind": kind, "apiGroup": GROUP, "name": name}
