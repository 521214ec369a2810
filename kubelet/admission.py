"""Whether this node takes a pod that was bound to it. Pure; the scheduler's work is checked, not trusted.

The order of the checks is the order in which upstream's agent reports them.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubelet.config.resources import milli, number, pod_requests
from kubelet.config.security import pod_context
from kubelet.podspec import Pod, all_containers, is_host_network, is_static, pod_uid
from machinery.meta.selectors import label_selector_from_dict

SAFE_SYSCTLS = (
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
)  # fmt: skip

Node = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    reason: str
    message: str


def admit(
    pod: Pod, others: Sequence[Pod], node: Node, *, allowed_sysctls: Iterable[str] = ()
) -> Refusal | None:
    """None when the pod may run here beside ``others``, the pods that the node runs already."""
    refusal = check_sysctls(pod, allowed_sysctls)
    if refusal is not None:
        return refusal
    checks = (check_resources(pod, others, node), check_affinity(pod, node), check_ports(pod, others),
              check_taints(pod, node))  # fmt: skip
    return next((refusal for refusal in checks if refusal is not None), None)


def check_sysctls(pod: Pod, allowed: Iterable[str]) -> Refusal | None:
    patterns = (*SAFE_SYSCTLS, *allowed)
    for entry in pod_context(pod).get("sysctls") or ():
        name = entry["name"].replace("/", ".")
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            return Refusal("SysctlForbidden", f'forbidden sysctl: "{entry["name"]}" not allowlisted')
        if is_host_network(pod) and name.startswith("net."):
            return Refusal("SysctlForbidden", f'forbidden sysctl: "{entry["name"]}" not allowed with host net enabled')
    return None


def check_resources(pod: Pod, others: Sequence[Pod], node: Node) -> Refusal | None:
    """Requests against what is allocatable and not taken: CPU and memory first, the number of pods before them."""
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    if "pods" in allocatable and len(others) + 1 > number(allocatable["pods"]):
        used, capacity = len(others), number(allocatable["pods"])
        return _out_of("pods", 1, used, capacity)
    used_by_others: dict[str, int] = {}
    for other in others:
        for name, value in pod_requests(other).items():
            used_by_others[name] = used_by_others.get(name, 0) + value
    wanted = pod_requests(pod)
    for name in sorted(wanted, key=lambda n: ({"cpu": 0, "memory": 1, "ephemeral-storage": 2}.get(n, 3), n)):
        if wanted[name] == 0:
            continue
        capacity = _amount(name, allocatable)
        used = used_by_others.get(name, 0)
        if used + wanted[name] > capacity:
            return _out_of(name, wanted[name], used, capacity)
    return None


def _amount(name: str, amounts: Mapping[str, Any]) -> int:
    return milli(amounts.get(name)) if name == "cpu" else number(amounts.get(name))


def _out_of(resource: str, requested: int, used: int, capacity: int) -> Refusal:
    amounts = f"requested: {requested}, used: {used}, capacity: {capacity}"
    message = f"Node didn't have enough resource: {resource}, {amounts}"
    return Refusal(f"OutOf{resource}", message)


def check_affinity(pod: Pod, node: Node) -> Refusal | None:
    if matches_node(pod, node):
        return None
    return Refusal("NodeAffinity", "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector")


def matches_node(pod: Pod, node: Node) -> bool:
    labels = node["metadata"].get("labels") or {}
    selector = pod["spec"].get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in selector.items()):
        return False
    affinity = ((pod["spec"].get("affinity") or {}).get("nodeAffinity")) or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    name = node["metadata"]["name"]
    return any(_term_matches(term, labels, name) for term in required.get("nodeSelectorTerms") or ())


def _term_matches(term: Mapping[str, Any], labels: Mapping[str, str], name: str) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    return all(_matches(e, labels) for e in expressions) and all(_matches(f, {"metadata.name": name}) for f in fields)


def _matches(requirement: Mapping[str, Any], values: Mapping[str, str]) -> bool:
    key, operator = requirement["key"], requirement["operator"]
    if operator in ("Gt", "Lt"):
        try:
            have, bound = int(values[key]), int(requirement["values"][0])
        except (KeyError, ValueError, IndexError):
            return False
        return have > bound if operator == "Gt" else have < bound
    expression = {"key": key, "operator": operator, "values": list(requirement.get("values") or ())}
    return label_selector_from_dict({"matchExpressions": [expression]}).matches(dict(values))


def host_ports(pod: Pod) -> list[tuple[str, str, int]]:
    """(address, protocol, port) that the pod takes on the node."""
    found = []
    for spec in all_containers(pod):
        for port in spec.get("ports") or ():
            number_ = port.get("hostPort") or (port["containerPort"] if is_host_network(pod) else 0)
            if number_:
                found.append((port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", int(number_)))
    return found


def check_ports(pod: Pod, others: Sequence[Pod]) -> Refusal | None:
    taken = [entry for other in others for entry in host_ports(other)]
    for address, protocol, port in host_ports(pod):
        for other_address, other_protocol, other_port in taken:
            same_address = address == other_address or "0.0.0.0" in (address, other_address)
            if same_address and (protocol, port) == (other_protocol, other_port):
                message = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"
                return Refusal("NodePorts", message)
    return None


def check_taints(pod: Pod, node: Node) -> Refusal | None:
    """Only NoExecute keeps a bound pod out; static pods run in spite of it."""
    if is_static(pod):
        return None
    tolerations = pod["spec"].get("tolerations") or ()
    for taint in node["spec"].get("taints") or ():
        if taint["effect"] == "NoExecute" and not any(_tolerates(t, taint) for t in tolerations):
            message = "Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate"
            return Refusal("TaintToleration", message)
    return None


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    if toleration.get("operator") == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")


def is_active(pod: Pod) -> bool:
    """Whether a pod counts against the node's room."""
    return (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")


def others_of(pod: Pod, pods: Iterable[Pod]) -> list[Pod]:
    return [other for other in pods if pod_uid(other) != pod_uid(pod) and is_active(other)]
