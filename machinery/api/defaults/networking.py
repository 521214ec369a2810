"""Defaults of networking.k8s.io and discovery.k8s.io."""

from __future__ import annotations

from typing import Any

from machinery.api.defaults.fill import fill, fill_zero, items, section

Object = dict[str, Any]


def default_network_policy(policy: Object) -> None:
    spec = section(policy, "spec")
    for direction in ("ingress", "egress"):
        for rule in items(spec, direction):
            for port in items(rule, "ports"):
                fill(port, "protocol", "TCP")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def default_ingress_class(ingress_class: Object) -> None:
    parameters = (ingress_class.get("spec") or {}).get("parameters")
    if parameters is not None:
        fill_zero(parameters, "scope", "Cluster")


def default_endpoint_slice(endpoint_slice: Object) -> None:
    for port in items(endpoint_slice, "ports"):
        fill(port, "name", "")
        fill(port, "protocol", "TCP")


DEFAULTS = {
    ("networking.k8s.io/v1", "NetworkPolicy"): default_network_policy,
    ("networking.k8s.io/v1", "IngressClass"): default_ingress_class,
    ("discovery.k8s.io/v1", "EndpointSlice"): default_endpoint_slice,
}
