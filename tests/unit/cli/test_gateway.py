"""Which ports the gateway serves and whereto, and how it reads a watch."""

from __future__ import annotations

from typing import Any

from cli.local.deliver import service_urls
from cli.local.gateway.wanted import HostPort, host_ports, node_addresses, pod_routes


def service(kind: str, *ports: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": "s"}, "spec": {"type": kind, "ports": list(ports)}}


def node(name: str, address: str | None, ready: str = "True", cidr: str | None = None) -> dict[str, Any]:
    addresses = [{"type": "Hostname", "address": name}]
    if address:
        addresses.append({"type": "InternalIP", "address": address})
    spec = {"podCIDR": cidr, "podCIDRs": [cidr]} if cidr else {}
    status = {"addresses": addresses, "conditions": [{"type": "Ready", "status": ready}]}
    return {"metadata": {"name": name}, "spec": spec, "status": status}


def test_node_ports_of_both_kinds_are_served() -> None:
    services = [
        service("NodePort", {"port": 80, "nodePort": 30080}, {"port": 53, "nodePort": 30053, "protocol": "UDP"}),
        service("LoadBalancer", {"port": 81, "nodePort": 30081}),
        service("ClusterIP", {"port": 82}),
        service("LoadBalancer", {"port": 83}),
        service("NodePort", {"port": 84, "nodePort": 30084, "protocol": "SCTP"}),
    ]
    assert host_ports(services) == {HostPort("TCP", 30080), HostPort("UDP", 30053), HostPort("TCP", 30081)}


def test_ready_nodes_come_first_and_the_rest_is_a_last_resort() -> None:
    nodes = [node("a", "10.200.0.11", "Unknown"), node("b", "10.200.0.12"), node("c", None), node("d", "10.200.0.13")]
    assert node_addresses(nodes) == ("10.200.0.12", "10.200.0.13", "10.200.0.11")


def test_routes_lead_to_the_node_of_the_pods() -> None:
    nodes = [
        node("a", "10.200.0.11", cidr="10.244.0.0/24"),
        node("b", "10.200.0.12"),
        node("c", None, cidr="10.244.2.0/24"),
    ]
    assert pod_routes(nodes) == {"10.244.0.0/24": "10.200.0.11"}


def test_urls_of_a_service() -> None:
    ports = (
        {"port": 80, "nodePort": 30080},
        {"port": 443, "nodePort": 30443},
        {"port": 53, "nodePort": 30053, "protocol": "UDP"},
    )
    assert service_urls(service("NodePort", *ports)) == ["http://127.0.0.1:30080", "https://127.0.0.1:30443"]
    assert service_urls(service("ClusterIP", {"port": 80})) == []
