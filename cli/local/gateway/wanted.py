"""What the gateway should serve and whereto. Pure: Services and Nodes in, ports and routes out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Protocol = Literal["TCP", "UDP"]


@dataclass(frozen=True, order=True)
class HostPort:
    protocol: Protocol
    number: int


def host_ports(services: Iterable[dict[str, Any]]) -> frozenset[HostPort]:
    return frozenset(
        HostPort(port.get("protocol", "TCP"), port["nodePort"])
        for service in services
        if service["spec"].get("type") in ("NodePort", "LoadBalancer")
        for port in service["spec"].get("ports", ())
        if port.get("nodePort") and port.get("protocol", "TCP") in ("TCP", "UDP")
    )


def node_addresses(nodes: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    """Of the nodes that can serve, those that are Ready first: the others are a last resort."""
    ranked = []
    for node in nodes:
        address = internal_address(node)
        if address is not None:
            ranked.append((not _is_ready(node), node["metadata"]["name"], address))
    return tuple(address for _, _, address in sorted(ranked))


def pod_routes(nodes: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Pod CIDR to the node that has it."""
    routes = {}
    for node in nodes:
        address = internal_address(node)
        for cidr in node["spec"].get("podCIDRs") or [node["spec"].get("podCIDR")]:
            if cidr and address and ":" not in cidr:
                routes[cidr] = address
    return routes


def internal_address(node: dict[str, Any]) -> str | None:
    for address in node.get("status", {}).get("addresses", ()):
        if address["type"] == "InternalIP" and ":" not in address["address"]:
            return str(address["address"])
    return None


def _is_ready(node: dict[str, Any]) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in node.get("status", {}).get("conditions", ()))
