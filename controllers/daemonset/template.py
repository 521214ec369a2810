"""How a DaemonSet's pod differs from its template: pinned to a node by affinity, with the daemon's tolerations. Pure.

The pin is a ``matchFields`` term on ``metadata.name``, so that the ordinary scheduler binds the pod (resources, ports
and preemption are its affair) and can only choose the one node.
"""

from __future__ import annotations

from typing import Any

from controllers.history import NAME_LABEL
from controllers.pods import pod_from_template
from machinery.meta.objects import annotations_of, deep_copy, owner_reference

Object = dict[str, Any]

GENERATION_ANNOTATION = "deprecated.daemonset.template.generation"
GENERATION_LABEL = "pod-template-generation"


def daemon_tolerations(pod_spec: Object) -> list[Object]:
    """What every daemon pod tolerates, in upstream's order."""
    wanted = [
        ("node.kubernetes.io/not-ready", "NoExecute"), ("node.kubernetes.io/unreachable", "NoExecute"),
        ("node.kubernetes.io/disk-pressure", "NoSchedule"), ("node.kubernetes.io/memory-pressure", "NoSchedule"),
        ("node.kubernetes.io/pid-pressure", "NoSchedule"), ("node.kubernetes.io/unschedulable", "NoSchedule"),
    ]  # fmt: skip
    if pod_spec.get("hostNetwork"):
        wanted.append(("node.kubernetes.io/network-unavailable", "NoSchedule"))
    return [{"key": key, "operator": "Exists", "effect": effect} for key, effect in wanted]


def with_daemon_tolerations(pod_spec: Object) -> list[Object]:
    tolerations = list(pod_spec.get("tolerations") or ())
    for wanted in daemon_tolerations(pod_spec):
        if wanted not in tolerations:
            tolerations.append(wanted)
    return tolerations


def pin_to_node(affinity: Object | None, node_name: str) -> Object:
    """``affinity`` with its required node terms replaced by one that names the node; preferences stay."""
    affinity = deep_copy(affinity or {})
    affinity.setdefault("nodeAffinity", {})["requiredDuringSchedulingIgnoredDuringExecution"] = {
        "nodeSelectorTerms": [
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node_name]}]},
        ]
    }
    return affinity


def target_node(pod: Object) -> str:
    """Where the pod is, or where its affinity will put it; "" when neither says."""
    spec = pod["spec"]
    if spec.get("nodeName"):
        return str(spec["nodeName"])
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    ) or {}
    for term in required.get("nodeSelectorTerms") or ():
        for expression in term.get("matchFields") or ():
            names = expression.get("values") or []
            if expression["key"] == "metadata.name" and expression["operator"] == "In" and len(names) == 1:
                return str(names[0])
    return ""


def make_daemon_pod(daemon_set: Object, node_name: str, digest: str) -> Object:
    template = daemon_set["spec"]["template"]
    pod = pod_from_template(template, daemon_set, owner_reference(daemon_set, "apps/v1", "DaemonSet"))
    pod["metadata"]["labels"][NAME_LABEL] = digest
    generation = annotations_of(daemon_set).get(GENERATION_ANNOTATION)
    if generation:
        pod["metadata"]["labels"][GENERATION_LABEL] = generation
    pod["spec"]["tolerations"] = with_daemon_tolerations(pod["spec"])
    pod["spec"]["affinity"] = pin_to_node(pod["spec"].get("affinity"), node_name)
    return pod
