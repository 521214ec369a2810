"""Summaries of node agents -> NodeMetrics and PodMetrics. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Object = dict[str, Any]

API_VERSION = "metrics.k8s.io/v1beta1"
#: The time over which an agent's rates are taken.
WINDOW = "15s"


def node_metrics(node: Object, summary: Object) -> Object | None:
    """The NodeMetrics of a node, or None when its agent measured nothing yet."""
    usage = _usage(summary.get("node") or {})
    if usage is None:
        return None
    stamp, amounts = usage
    return {
        "kind": "NodeMetrics", "apiVersion": API_VERSION, "metadata": _metadata(node, stamp), "timestamp": stamp,
        "window": WINDOW, "usage": amounts,
    }  # fmt: skip


def pod_metrics(pod: Object, measured: Object) -> Object | None:
    """The PodMetrics of a pod; None until every container that is measured has a rate and a size."""
    containers = []
    stamp = ""
    for container in measured.get("containers") or ():
        usage = _usage(container)
        if usage is None:
            return None
        stamp = max(stamp, usage[0])
        containers.append({"name": container["name"], "usage": usage[1]})
    if not containers:
        return None
    return {
        "kind": "PodMetrics", "apiVersion": API_VERSION, "metadata": _metadata(pod, stamp), "timestamp": stamp,
        "window": WINDOW, "containers": containers,
    }  # fmt: skip


def pods_of_summaries(summaries: Iterable[Object]) -> dict[tuple[str, str], Object]:
    """(namespace, name) -> what was measured of that pod."""
    out = {}
    for summary in summaries:
        for pod in summary.get("pods") or ():
            reference = pod["podRef"]
            out[reference["namespace"], reference["name"]] = pod
    return out


def _usage(measured: Mapping[str, Any]) -> tuple[str, dict[str, str]] | None:
    cpu, memory = measured.get("cpu") or {}, measured.get("memory") or {}
    if not memory.get("workingSetBytes"):
        return None
    amounts = {
        "cpu": f"{int(cpu.get('usageNanoCores') or 0)}n", "memory": f"{int(memory['workingSetBytes']) // 1024}Ki",
    }  # fmt: skip
    return str(memory.get("time") or cpu.get("time") or ""), amounts


def _metadata(obj: Object, stamp: str) -> Object:
    meta = obj["metadata"]
    out: Object = {"name": meta["name"], "creationTimestamp": stamp}
    if meta.get("namespace"):
        out["namespace"] = meta["namespace"]
    if meta.get("labels"):
        out["labels"] = meta["labels"]
    return out
