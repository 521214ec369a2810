"""The node authorizer: a node agent reads what its pods use and writes what is its own, nothing else.

It gives no opinion about anyone who is not a node. For a node, what no special rule speaks about is decided by the
rules of the role ``system:node``; a refusal here says why, and RBAC may still allow.
"""

from __future__ import annotations

from apiserver.auth.bootstrap.policy import parse_rule
from apiserver.auth.bootstrap.roles import CLUSTER_ROLES
from apiserver.auth.interface import Attributes, Decision
from apiserver.auth.node.graph import NodeGraph
from apiserver.auth.rbac.rules import CompiledRule
from apiserver.auth.users import node_name
from machinery.meta.selectors import SelectorError, parse_field_selector

NODE_LEASE_NAMESPACE = "kube-node-lease"

_ALLOWED = Decision(allowed=True)
_NO_OPINION = Decision(allowed=False)
_NO_NAME = Decision(allowed=False, reason="No Object name found")
_OWN_VERBS = frozenset({"get", "create", "update", "patch", "delete"})
_READ_VERBS = frozenset({"get", "list", "watch"})


class NodeAuthorizer:
    def __init__(self, graph: NodeGraph) -> None:
        self._graph = graph
        self._rules = tuple(CompiledRule(parse_rule(line)) for line in CLUSTER_ROLES["system:node"])

    def authorize(self, attributes: Attributes) -> Decision:
        node = node_name(attributes.user)
        if not node:
            return _NO_OPINION
        if attributes.is_resource:
            special = self._special(node, attributes)
            if special is not None:
                return special
        return _ALLOWED if any(rule.matches(attributes) for rule in self._rules) else _NO_OPINION

    def _special(self, node: str, attributes: Attributes) -> Decision | None:
        match (attributes.api_group, attributes.resource):
            case ("", "secrets" | "configmaps"):
                return self._read_namespaced(node, attributes)
            case ("", "persistentvolumeclaims") if attributes.subresource == "status":
                return self._write_status(node, attributes)
            case ("", "persistentvolumeclaims" | "persistentvolumes") | ("resource.k8s.io", "resourceclaims"):
                return self._get(node, attributes)
            case ("storage.k8s.io", "volumeattachments"):
                return self._get(node, attributes)
            case ("", "serviceaccounts"):
                return self._service_account(node, attributes)
            case ("coordination.k8s.io", "leases"):
                return _lease(node, attributes)
            case ("storage.k8s.io", "csinodes"):
                return _csi_node(node, attributes)
            case ("resource.k8s.io", "resourceslices"):
                return self._resource_slice(node, attributes)
            case ("", "nodes"):
                return _node(node, attributes)
            case ("", "pods"):
                return self._pod(node, attributes)
        return None

    def _related(self, node: str, attributes: Attributes) -> Decision:
        if not attributes.name:
            return _NO_NAME
        if self._graph.reaches(node, attributes.resource, attributes.namespace, attributes.name):
            return _ALLOWED
        return _refused(f"no relationship found between node '{node}' and this object")

    def _read_namespaced(self, node: str, attributes: Attributes) -> Decision:
        if attributes.verb not in _READ_VERBS:
            return _refused("can only read resources of this type")
        if attributes.subresource:
            return _refused("cannot read subresource")
        if not attributes.namespace:
            return _refused("can only read namespaced object of this type")
        return self._related(node, attributes)

    def _write_status(self, node: str, attributes: Attributes) -> Decision:
        if attributes.verb not in ("get", "update", "patch"):
            return _refused("can only get/update/patch this type")
        return self._related(node, attributes)

    def _get(self, node: str, attributes: Attributes) -> Decision:
        if attributes.verb != "get" or attributes.subresource:
            return _refused("can only get individual resources of this type")
        return self._related(node, attributes)

    def _service_account(self, node: str, attributes: Attributes) -> Decision:
        asked = (attributes.verb, attributes.subresource)
        if asked not in (("create", "token"), ("get", "")):
            return _refused("can only create tokens for individual service accounts")
        return self._related(node, attributes)

    def _resource_slice(self, node: str, attributes: Attributes) -> Decision:
        if attributes.subresource:
            return _refused("cannot authorize ResourceSlice subresources")
        match attributes.verb:
            case "create":
                return _ALLOWED  # admission looks at the node that the slice names
            case "get" | "update" | "patch" | "delete":
                return self._related(node, attributes)
            case "list" | "watch" | "deletecollection":
                if _selects(attributes, "spec.nodeName", node):
                    return _ALLOWED
                return _refused("can only list/watch/deletecollection resourceslices with nodeName field selector")
        return _refused(
            "only the following verbs are allowed for a ResourceSlice: "
            "get, watch, list, create, update, patch, delete, deletecollection"
        )

    def _pod(self, node: str, attributes: Attributes) -> Decision:
        match (attributes.subresource, attributes.verb):
            case ("", "get"):
                return self._related(node, attributes)
            case ("", "list" | "watch"):
                if _selects(attributes, "spec.nodeName", node):
                    return _ALLOWED
                return _refused("can only list/watch pods with spec.nodeName field selector")
            case ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create"):
                return _ALLOWED  # admission looks at the pod
        return _NO_OPINION


def _lease(node: str, attributes: Attributes) -> Decision:
    if attributes.verb not in _OWN_VERBS:
        return _refused("can only get, create, update, patch, or delete a node lease")
    if attributes.namespace != NODE_LEASE_NAMESPACE:
        return _refused(f'can only access leases in the "{NODE_LEASE_NAMESPACE}" system namespace')
    if attributes.verb != "create" and attributes.name != node:
        return _refused("can only access node lease with the same name as the requesting node")
    return _ALLOWED


def _csi_node(node: str, attributes: Attributes) -> Decision:
    if attributes.subresource:
        return _refused("cannot authorize CSINode subresources")
    if attributes.verb not in _OWN_VERBS:
        return _refused("can only get, create, update, patch, or delete a CSINode")
    if attributes.verb != "create" and attributes.name != node:
        return _refused("can only access CSINode with the same name as the requesting node")
    return _ALLOWED


def _node(node: str, attributes: Attributes) -> Decision:
    match (attributes.subresource, attributes.verb):
        case ("", "get" | "list" | "watch"):
            if attributes.name == node:
                return _ALLOWED
            what = f"'{attributes.name}'" if attributes.name else "all nodes"
            return _refused(f"node '{node}' cannot read {what}, only its own Node object")
        case ("", "create" | "update" | "patch") | ("status", "update" | "patch"):
            return _ALLOWED  # admission looks at the name
    return _NO_OPINION


def _selects(attributes: Attributes, field: str, value: str) -> bool:
    if not attributes.field_selector:
        return False
    try:
        return parse_field_selector(attributes.field_selector).required_value(field) == value
    except SelectorError:
        return False


def _refused(reason: str) -> Decision:
    return Decision(allowed=False, reason=reason)
