"""Which nodes are not Ready, and why, in one line each."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from cli.local.quickclient import QuickClient


def unready_nodes(client: QuickClient, names: Collection[str], since: Mapping[str, float]) -> dict[str, str]:
    """``since``: when a node's agent started. What an earlier agent reported does not count: after a reboot the API
    still holds the Ready of the life before."""
    nodes = {node["metadata"]["name"]: node for node in client.get("/api/v1/nodes")["items"]}
    leases: dict[str, Any] = {}
    if any(name in nodes for name in names):
        found = client.get("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases")["items"]
        leases = {lease["metadata"]["name"]: lease for lease in found}
    reasons = {}
    for name in names:
        reason = why_not_ready(nodes.get(name), leases.get(name), since.get(name))
        if reason is not None:
            reasons[name] = reason
    return reasons


def why_not_ready(node: dict[str, Any] | None, lease: dict[str, Any] | None, since: float | None) -> str | None:
    """None when it is Ready. Pure."""
    if since is None:
        return "its agent is not running"
    if node is None:
        return "it has not registered yet"
    condition = next((c for c in node.get("status", {}).get("conditions", ()) if c["type"] == "Ready"), None)
    if condition is None:
        return "it has not reported its status yet"
    reports = [condition.get("lastHeartbeatTime"), (lease or {}).get("spec", {}).get("renewTime")]
    # A second of grace: heartbeat times are cut to whole seconds.
    if not any(text and datetime.fromisoformat(text).timestamp() >= since - 1 for text in reports):
        return "its new agent has not reported yet"
    if condition["status"] != "True":
        return condition.get("message") or condition.get("reason") or "no reason given"
    return None
