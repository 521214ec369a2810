"""Services with their endpoints, as the proxy of one node sees them. Pure.

The rules of choosing endpoints (KEP-1669, KEP-2086): ready endpoints; when there is none, those that still serve while
they terminate. With policy Local only those of this node count, and when there is none the traffic is dropped, never
sent elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name"
HEADLESS_LABEL = "service.kubernetes.io/headless"


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    address: str
    port: int
    local: bool = False


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of one Service. ``cluster`` are the endpoints for policy Cluster, ``local`` those for policy Local.

    ``affinity_seconds`` 0 means no session affinity. ``external_ips`` holds externalIPs and load-balancer addresses.
    """

    service: str
    name: str
    protocol: str
    port: int
    cluster_ips: tuple[str, ...]
    external_ips: tuple[str, ...]
    node_port: int
    internal_local: bool
    external_local: bool
    affinity_seconds: int
    cluster: tuple[Endpoint, ...]
    local: tuple[Endpoint, ...]
    source_ranges: tuple[str, ...] = ()
    health_check_node_port: int = 0

    @property
    def key(self) -> str:
        return f"{self.service}:{self.name}" if self.name else self.service


def is_proxied(service: Object) -> bool:
    """Whether this proxy serves the Service at all (headless, ExternalName and other proxies' Services are not)."""
    labels = service["metadata"].get("labels") or {}
    spec = service["spec"]
    if PROXY_NAME_LABEL in labels or spec.get("type") == "ExternalName":
        return False
    return bool(spec.get("clusterIP")) and spec["clusterIP"] != "None"


def service_ports(service: Object, slices: Iterable[Object], node_name: str) -> list[ServicePort]:
    """The ports of one Service with the endpoints of its EndpointSlices."""
    if not is_proxied(service):
        return []
    meta, spec = service["metadata"], service["spec"]
    affinity = 0
    if spec.get("sessionAffinity") == "ClientIP":
        config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
        affinity = int(config.get("timeoutSeconds") or 10800)
    ingress = (service.get("status") or {}).get("loadBalancer", {}).get("ingress") or ()
    balancer = [entry["ip"] for entry in ingress if entry.get("ip") and entry.get("ipMode") != "Proxy"]
    slices = list(slices)
    out = []
    for port in spec.get("ports") or ():
        chosen = choose_endpoints(slices, port.get("name") or "", node_name)
        out.append(
            ServicePort(
                service=f"{meta['namespace']}/{meta['name']}",
                name=port.get("name") or "",
                protocol=(port.get("protocol") or "TCP").lower(),
                port=int(port["port"]),
                cluster_ips=tuple(spec.get("clusterIPs") or (spec["clusterIP"],)),
                external_ips=tuple(dict.fromkeys([*(spec.get("externalIPs") or ()), *balancer])),
                node_port=int(port.get("nodePort") or 0),
                internal_local=spec.get("internalTrafficPolicy") == "Local",
                external_local=spec.get("externalTrafficPolicy") == "Local",
                affinity_seconds=affinity,
                cluster=chosen[0],
                local=chosen[1],
                source_ranges=tuple(spec.get("loadBalancerSourceRanges") or ()),
                health_check_node_port=int(spec.get("healthCheckNodePort") or 0),
            )
        )
    return out


def choose_endpoints(
    slices: Iterable[Object], port_name: str, node_name: str
) -> tuple[tuple[Endpoint, ...], tuple[Endpoint, ...]]:
    """(endpoints of the cluster, endpoints of this node) for a port, each falling back to serving ones by itself."""
    ready: list[Endpoint] = []
    serving: list[Endpoint] = []
    for each in slices:
        if each.get("addressType") not in ("IPv4", "IPv6"):
            continue
        numbers = [p["port"] for p in each.get("ports") or () if (p.get("name") or "") == port_name and p.get("port")]
        for number in numbers:
            for endpoint in each.get("endpoints") or ():
                conditions = endpoint.get("conditions") or {}
                local = endpoint.get("nodeName") == node_name
                made = [Endpoint(address, int(number), local) for address in endpoint.get("addresses") or ()]
                is_ready = conditions.get("ready")
                if is_ready is None or is_ready:
                    ready.extend(made)
                elif conditions.get("serving") and conditions.get("terminating"):
                    serving.extend(made)
    near = [endpoint for endpoint in ready if endpoint.local] or [endpoint for endpoint in serving if endpoint.local]
    return _tidy(ready or serving), _tidy(near)


def _tidy(endpoints: list[Endpoint]) -> tuple[Endpoint, ...]:
    return tuple(sorted(set(endpoints)))


@dataclass(frozen=True, slots=True, order=True)
class HostPort:
    """A container port published on the node. ``host_ip`` "" means every address."""

    protocol: str
    host_ip: str
    host_port: int
    pod_ip: str
    container_port: int


def host_ports(pods: Iterable[Mapping[str, Any]]) -> list[HostPort]:
    """Host ports of the running pods of this node (pods of the host network listen by themselves)."""
    out = []
    for pod in pods:
        status, spec = pod.get("status") or {}, pod["spec"]
        if spec.get("hostNetwork") or not status.get("podIP") or status.get("phase") in ("Succeeded", "Failed"):
            continue
        sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
        for container in [*(spec.get("containers") or ()), *sidecars]:
            for port in container.get("ports") or ():
                if port.get("hostPort"):
                    host_ip = port.get("hostIP") or ""
                    out.append(
                        HostPort(
                            (port.get("protocol") or "TCP").lower(),
                            "" if host_ip in ("0.0.0.0", "::") else host_ip,
                            int(port["hostPort"]), status["podIP"], int(port["containerPort"]),
                        )
                    )  # fmt: skip
    return sorted(out)
