"""Defaults of the core group, except pods and volumes."""

from __future__ import annotations

import base64
from typing import Any

from machinery.api.defaults.fill import fill, fill_zero, items, section
from machinery.api.defaults.pods import default_pod_template

Object = dict[str, Any]


def default_service(service: Object) -> None:
    spec = section(service, "spec")
    fill_zero(spec, "sessionAffinity", "None")
    affinity = spec["sessionAffinity"]
    if affinity == "None":
        spec.pop("sessionAffinityConfig", None)
    elif affinity == "ClientIP":
        client = section(section(spec, "sessionAffinityConfig"), "clientIP")
        fill(client, "timeoutSeconds", 10800)
    fill_zero(spec, "type", "ClusterIP")
    for port in items(spec, "ports"):
        fill_zero(port, "protocol", "TCP")
        if not port.get("targetPort"):
            port["targetPort"] = port.get("port", 0)
    kind = spec["type"]
    if kind in ("NodePort", "LoadBalancer") or spec.get("externalIPs"):
        fill_zero(spec, "externalTrafficPolicy", "Cluster")
    if kind in ("NodePort", "LoadBalancer", "ClusterIP"):
        fill(spec, "internalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        fill(spec, "allocateLoadBalancerNodePorts", True)
        balancer = (service.get("status") or {}).get("loadBalancer") or {}
        for ingress in items(balancer, "ingress"):
            if ingress.get("ip"):
                fill(ingress, "ipMode", "VIP")


def default_endpoints(endpoints: Object) -> None:
    for subset in items(endpoints, "subsets"):
        for port in items(subset, "ports"):
            fill_zero(port, "protocol", "TCP")


def default_secret(secret: Object) -> None:
    """``stringData`` is a way to write ``data`` and never kept."""
    plain = secret.pop("stringData", None)
    if plain:
        encoded = {name: base64.b64encode(text.encode()).decode() for name, text in plain.items()}
        secret["data"] = (secret.get("data") or {}) | encoded
    fill_zero(secret, "type", "Opaque")


def default_namespace(namespace: Object) -> None:
    name = (namespace.get("metadata") or {}).get("name")
    if name:
        labels = section(section(namespace, "metadata"), "labels")
        labels.setdefault("kubernetes.io/metadata.name", name)
    fill_zero(section(namespace, "status"), "phase", "Active")


def default_node(node: Object) -> None:
    status = node.get("status") or {}
    if status.get("capacity") and status.get("allocatable") is None:
        status["allocatable"] = dict(status["capacity"])


def default_limit_range(limit_range: Object) -> None:
    """``default`` falls back on ``max``, ``defaultRequest`` on ``default`` and then on ``min``: of containers only."""
    for item in items(section(limit_range, "spec"), "limits"):
        if item.get("type") != "Container":
            continue
        defaults = dict(item.get("default") or {})
        for name, amount in (item.get("max") or {}).items():
            defaults.setdefault(name, amount)
        requests = dict(item.get("defaultRequest") or {})
        for name, amount in defaults.items():
            requests.setdefault(name, amount)
        for name, amount in (item.get("min") or {}).items():
            requests.setdefault(name, amount)
        if defaults:
            item["default"] = defaults
        if requests:
            item["defaultRequest"] = requests


def default_replication_controller(controller: Object) -> None:
    spec = section(controller, "spec")
    template = spec.get("template")
    labels = ((template or {}).get("metadata") or {}).get("labels")
    if labels:
        fill_zero(spec, "selector", dict(labels))
        fill_zero(section(controller, "metadata"), "labels", dict(labels))
    fill(spec, "replicas", 1)
    if template is not None:
        default_pod_template(template)


DEFAULTS = {
    ("v1", "Service"): default_service,
    ("v1", "Endpoints"): default_endpoints,
    ("v1", "Secret"): default_secret,
    ("v1", "Namespace"): default_namespace,
    ("v1", "Node"): default_node,
    ("v1", "LimitRange"): default_limit_range,
    ("v1", "ReplicationController"): default_replication_controller,
}
