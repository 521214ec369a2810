"""Which pods the collector removes: too many finished ones, those of nodes that are gone, those nobody will end.

Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from controllers.node_fit import taints_of
from controllers.pods import is_pod_finished
from machinery.meta.conditions import get_condition
from machinery.meta.objects import is_terminating

Object = dict[str, Any]

OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"


def surplus_finished(pods: Sequence[Object], threshold: int) -> list[Object]:
    """The oldest finished pods beyond the threshold; evicted ones first. A threshold of zero or less keeps all."""
    finished = [pod for pod in pods if is_pod_finished(pod)]
    surplus = len(finished) - threshold
    if threshold <= 0 or surplus <= 0:
        return []

    def order(pod: Object) -> tuple[bool, str, str]:
        evicted = pod.get("status", {}).get("reason") == "Evicted"
        return not evicted, pod["metadata"].get("creationTimestamp") or "", pod["metadata"]["name"]

    return sorted(finished, key=order)[:surplus]


def unscheduled_ending(pods: Iterable[Object]) -> list[Object]:
    """Marked for deletion but on no node: there is no agent to finish it."""
    return [pod for pod in pods if is_terminating(pod) and not pod["spec"].get("nodeName")]


def orphaned(pods: Iterable[Object], node_names: set[str]) -> list[Object]:
    return [pod for pod in pods if pod["spec"].get("nodeName") and pod["spec"]["nodeName"] not in node_names]


def ending_out_of_service(pods: Iterable[Object], nodes: Mapping[str, Object]) -> list[Object]:
    """Ending on a node that its operator has declared out of service (and that is not ready)."""
    found = []
    for pod in pods:
        node = nodes.get(pod["spec"].get("nodeName") or "")
        if node is None or not is_terminating(pod):
            continue
        ready = get_condition(node.get("status", {}).get("conditions"), "Ready") or {}
        if ready.get("status") != "True" and any(taint["key"] == OUT_OF_SERVICE for taint in taints_of(node)):
            found.append(pod)
    return found
