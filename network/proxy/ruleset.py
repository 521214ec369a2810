"""The rule set of a node: what the nftables table should hold. Pure.

A packet is looked up once, whatever the number of Services: a verdict map from (address, protocol, port) to the chain
of the Service port. That chain picks an endpoint's chain (sticky clients first, then by a random number), which
rewrites the destination. Services without a usable endpoint are not rewritten; the filter hooks refuse them at once (no
endpoint anywhere) or drop them (none here, policy Local), so that clients do not hang on a dead address.

Names of chains are hashes of what they stand for, so that the same Service has the same chain after a restart and the
difference between two rule sets is small.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from network.proxy.model import Endpoint, HostPort, ServicePort

TABLE = "navarch"
#: Packets to be masqueraded carry this bit until postrouting takes it off again.
MASQUERADE_BIT = 0x4000

BASE_CHAINS: dict[str, str] = {
    "nat-prerouting": "type nat hook prerouting priority -100; policy accept;",
    "nat-output": "type nat hook output priority -100; policy accept;",
    "nat-postrouting": "type nat hook postrouting priority 100; policy accept;",
    # After the rewriting (what was rewritten is fine) and before routing: an address that no route leads to must be
    # refused as well.
    "filter-prerouting": "type filter hook prerouting priority -90; policy accept;",
    "filter-output": "type filter hook output priority -90; policy accept;",
}
MAPS: dict[str, str] = {
    "service-ips": "type ipv4_addr . inet_proto . inet_service : verdict;",
    "service-nodeports": "type inet_proto . inet_service : verdict;",
    "host-ports": "type inet_proto . inet_service : verdict;",
    "host-ip-ports": "type ipv4_addr . inet_proto . inet_service : verdict;",
    "no-endpoint-ips": "type ipv4_addr . inet_proto . inet_service : verdict;",
    "no-endpoint-nodeports": "type inet_proto . inet_service : verdict;",
}


@dataclass
class RuleSet:
    """``chains`` name -> rules; ``maps`` name -> element -> verdict; ``sets`` name -> declaration."""

    chains: dict[str, tuple[str, ...]] = field(default_factory=dict)
    maps: dict[str, dict[str, str]] = field(default_factory=lambda: {name: {} for name in MAPS})
    sets: dict[str, str] = field(default_factory=dict)


def compute_ruleset(
    ports: Iterable[ServicePort], published: Iterable[HostPort] = (), *, cluster_cidr: str, pod_cidr: str = ""
) -> RuleSet:
    """What the table should hold for these Service ports and host ports.

    ``cluster_cidr`` is the range of all pods, ``pod_cidr`` that of this node's pods (masqueraded when they leave the
    cluster; "" before it is known).
    """
    rules = RuleSet()
    rules.chains.update(_frame(cluster_cidr, pod_cidr))
    for port in ports:
        _add_service_port(rules, port, cluster_cidr)
    for published_port in published:
        _add_host_port(rules, published_port)
    return rules


def _frame(cluster_cidr: str, pod_cidr: str) -> dict[str, tuple[str, ...]]:
    bit = f"{MASQUERADE_BIT:#x}"
    leaving = (f"ip saddr {pod_cidr} ip daddr != {{ {cluster_cidr}, 224.0.0.0/4 }} masquerade",)
    look_up = (
        "ip daddr . meta l4proto . th dport vmap @service-ips",
        "ip daddr . meta l4proto . th dport vmap @host-ip-ports",
        "fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @service-nodeports",
        "fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @host-ports",
    )
    refuse = (
        "ct state new ip daddr . meta l4proto . th dport vmap @no-endpoint-ips",
        "ct state new fib daddr type local meta l4proto . th dport vmap @no-endpoint-nodeports",
    )
    return {
        "nat-prerouting": ("jump services",),
        "nat-output": ("jump services",),
        "services": look_up,
        "mark-masquerade": (f"meta mark set meta mark or {bit}",),
        "nat-postrouting": (
            f"meta mark and {bit} == {bit} meta mark set meta mark xor {bit} masquerade fully-random",
            *(leaving if pod_cidr else ()),
        ),
        "filter-prerouting": refuse,
        "filter-output": refuse,
        "refuse": ("meta l4proto tcp reject with tcp reset", "reject"),
    }


def _digest(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:8]


def _label(port: ServicePort) -> str:
    """A readable, unique stem: nftables names have at most 127 characters."""
    readable = port.key.replace("/", "-").replace(":", "-").replace(".", "-")[:60]
    return f"{_digest(port.key, port.protocol, port.port)}-{readable}"


def _add_service_port(rules: RuleSet, port: ServicePort, cluster_cidr: str) -> None:
    label = _label(port)
    internal = port.local if port.internal_local else port.cluster
    outside = bool(port.node_port or port.external_ips)
    chain = f"svc-{label}"
    local_chain = f"svl-{label}"
    everywhere = outside or not port.internal_local
    for endpoint in sorted({*(port.cluster if everywhere else ()), *port.local}):
        _add_endpoint(rules, port, endpoint)
    if port.cluster and everywhere:  # a chain may lead only to chains that are there, or nft refuses the whole table
        rules.chains[chain] = _balance(port, port.cluster)
    if port.local and (port.internal_local or port.external_local):
        rules.chains[local_chain] = _balance(port, port.local)

    if internal:
        entry = f"sip-{label}"
        target = local_chain if port.internal_local else chain
        # Clients that are no pods (the node itself, machines beside it) must get their answer through this node.
        rules.chains[entry] = (f"ip saddr != {cluster_cidr} jump mark-masquerade", f"goto {target}")
        verdict = f"goto {entry}"
        for address in _v4(port.cluster_ips):
            rules.maps["service-ips"][_element(address, port)] = verdict
    else:
        refusal = "drop" if port.internal_local and port.cluster else "goto refuse"
        for address in _v4(port.cluster_ips):
            rules.maps["no-endpoint-ips"][_element(address, port)] = refusal

    if not outside:
        return
    if port.cluster:
        external = f"ext-{label}"
        rules.chains[external] = _external(port, chain, local_chain, cluster_cidr)
        for address in _v4(port.external_ips):
            rules.maps["service-ips"][_element(address, port)] = f"goto {external}"
        if port.node_port:
            rules.maps["service-nodeports"][f"{port.protocol} . {port.node_port}"] = f"goto {external}"
    else:
        for address in _v4(port.external_ips):
            rules.maps["no-endpoint-ips"][_element(address, port)] = "goto refuse"
        if port.node_port:
            rules.maps["no-endpoint-nodeports"][f"{port.protocol} . {port.node_port}"] = "goto refuse"
    if port.external_local and port.cluster and not port.local:
        # Not rewritten for strangers by the chain above: drop here, so that they try another node.
        for address in _v4(port.external_ips):
            rules.maps["no-endpoint-ips"][_element(address, port)] = "drop"
        if port.node_port:
            rules.maps["no-endpoint-nodeports"][f"{port.protocol} . {port.node_port}"] = "drop"


def _external(port: ServicePort, chain: str, local_chain: str, cluster_cidr: str) -> tuple[str, ...]:
    """The way in from outside. With policy Local the source address stays; pods and the node itself may go anywhere."""
    if not port.external_local:
        return ("jump mark-masquerade", f"goto {chain}")
    rules = [
        f"ip saddr {cluster_cidr} goto {chain}",
        "fib saddr type local jump mark-masquerade",
        f"fib saddr type local goto {chain}",
    ]
    if port.local:
        rules.append(f"goto {local_chain}")
    return tuple(rules)


def _balance(port: ServicePort, endpoints: tuple[Endpoint, ...]) -> tuple[str, ...]:
    endpoints = tuple(endpoint for endpoint in endpoints if ":" not in endpoint.address)
    rules = []
    if port.affinity_seconds:
        rules += [f"ip saddr @{_affinity_set(port, each)} goto {_endpoint_chain(port, each)}" for each in endpoints]
    if len(endpoints) == 1:
        rules.append(f"goto {_endpoint_chain(port, endpoints[0])}")
    elif endpoints:
        choices = ", ".join(f"{n} : goto {_endpoint_chain(port, each)}" for n, each in enumerate(endpoints))
        rules.append(f"numgen random mod {len(endpoints)} vmap {{ {choices} }}")
    return tuple(rules)


def _add_endpoint(rules: RuleSet, port: ServicePort, endpoint: Endpoint) -> None:
    if ":" in endpoint.address:
        return
    chain = [f"ip saddr {endpoint.address} jump mark-masquerade"]
    if port.affinity_seconds:
        name = _affinity_set(port, endpoint)
        rules.sets[name] = f"type ipv4_addr; flags dynamic,timeout; timeout {port.affinity_seconds}s;"
        chain.append(f"update @{name} {{ ip saddr }}")
    chain.append(f"meta l4proto {port.protocol} dnat ip to {endpoint.address}:{endpoint.port}")
    rules.chains[_endpoint_chain(port, endpoint)] = tuple(chain)


def _endpoint_chain(port: ServicePort, endpoint: Endpoint) -> str:
    return f"ep-{_digest(port.key, port.protocol, endpoint.address, endpoint.port)}-{endpoint.address}-{endpoint.port}"


def _affinity_set(port: ServicePort, endpoint: Endpoint) -> str:
    return f"aff-{_digest(port.key, port.protocol, port.affinity_seconds, endpoint.address, endpoint.port)}"


def _add_host_port(rules: RuleSet, port: HostPort) -> None:
    if ":" in port.pod_ip or ":" in port.host_ip:
        return
    chain = f"hp-{_digest(port.protocol, port.host_ip, port.host_port, port.pod_ip, port.container_port)}-{port.pod_ip}"
    rules.chains[chain] = (
        f"ip saddr {port.pod_ip} jump mark-masquerade",
        f"meta l4proto {port.protocol} dnat ip to {port.pod_ip}:{port.container_port}",
    )
    if port.host_ip:
        rules.maps["host-ip-ports"][f"{port.host_ip} . {port.protocol} . {port.host_port}"] = f"goto {chain}"
    else:
        rules.maps["host-ports"][f"{port.protocol} . {port.host_port}"] = f"goto {chain}"


def _element(address: str, port: ServicePort) -> str:
    return f"{address} . {port.protocol} . {port.port}"


def _v4(addresses: Iterable[str]) -> Iterable[str]:
    return (address for address in addresses if ":" not in address)
