"""Services."""

from __future__ import annotations

import ipaddress
from typing import Any

from apiserver.validation.field import Errors, Object
from apiserver.validation.networks import (
    IP_TEXT,
    is_ip,
    validate_cidr,
    validate_ip,
    validate_non_special_ip,
    validate_port_or_name,
)
from apiserver.validation.objectmeta import LABEL, validate_metadata, validate_metadata_update
from apiserver.validation.rules import Rules
from machinery.meta import names

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_ONLY_LOAD_BALANCER = "may only be used when `type` is 'LoadBalancer'"
_NOT_EXTERNAL = "may not be set for ExternalName services"


def create(errors: Errors, service: Object) -> None:
    validate_metadata(errors, service, True, LABEL)
    _validate_spec(errors, service)


def _validate_spec(errors: Errors, service: Object) -> None:
    spec = service.get("spec") or {}
    kind = spec.get("type") or ""
    headless = (spec.get("clusterIPs") or [spec.get("clusterIP")])[0] == "None"
    ports = spec.get("ports") or []
    if not ports and not headless and kind != "ExternalName":
        errors.required("spec.ports")
    if kind == "LoadBalancer":
        for i, port in enumerate(ports):
            if port.get("port") == 10250:
                errors.invalid(
                    f"spec.ports[{i}]", 10250, "may not expose port 10250 externally since it is used by kubelet"
                )
    if kind in ("LoadBalancer", "NodePort") and headless:
        errors.invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services")
    if kind == "ExternalName":
        _external_name(errors, spec)
    _ports(errors, ports, headless)
    if spec.get("selector"):
        errors.label_values("spec.selector", spec["selector"])
    _affinity(errors, spec)
    _cluster_ips(errors, spec, kind)
    for i, ip in enumerate(spec.get("externalIPs") or ()):
        where = f"spec.externalIPs[{i}]"
        if not is_ip(ip):
            errors.invalid(where, ip, IP_TEXT)
        else:
            validate_non_special_ip(errors, where, ip)
    if not kind:
        errors.required("spec.type")
    elif kind not in _TYPES:
        errors.not_supported("spec.type", kind, _TYPES)
    _node_ports(errors, spec, ports, kind)
    _load_balancer(errors, spec, kind)
    _traffic(errors, spec, kind)


def _external_name(errors: Errors, spec: Object) -> None:
    if spec.get("clusterIPs") or spec.get("clusterIP"):
        errors.forbidden("spec.clusterIPs", _NOT_EXTERNAL)
    if spec.get("ipFamilies"):
        errors.forbidden("spec.ipFamilies", _NOT_EXTERNAL)
    if spec.get("ipFamilyPolicy") is not None:
        errors.forbidden("spec.ipFamilyPolicy", _NOT_EXTERNAL)
    name = (spec.get("externalName") or "").removesuffix(".")
    if name:
        errors.invalid_all("spec.externalName", name, names.dns1123_subdomain(name))
    else:
        errors.required("spec.externalName")


def _ports(errors: Errors, ports: list[Object], headless: bool) -> None:
    seen: set[str] = set()
    for i, port in enumerate(ports):
        where = f"spec.ports[{i}]"
        name = port.get("name") or ""
        if not name:
            if len(ports) > 1:
                errors.required(where + ".name")
        else:
            errors.invalid_all(where + ".name", name, names.dns1123_label(name))
            if name in seen:
                errors.duplicate(where + ".name", name)
            seen.add(name)
        errors.port(where + ".port", port.get("port") or 0)
        protocol = port.get("protocol") or ""
        if not protocol:
            errors.required(where + ".protocol")
        elif protocol not in _PROTOCOLS:
            errors.not_supported(where + ".protocol", protocol, _PROTOCOLS)
        validate_port_or_name(errors, where + ".targetPort", port.get("targetPort"))
        if port.get("appProtocol") is not None:
            errors.invalid_all(where + ".appProtocol", port["appProtocol"], names.qualified_name(port["appProtocol"]))


def _affinity(errors: Errors, spec: Object) -> None:
    affinity = spec.get("sessionAffinity") or ""
    if not affinity:
        errors.required("spec.sessionAffinity")
    elif affinity not in ("ClientIP", "None"):
        errors.not_supported("spec.sessionAffinity", affinity, ("ClientIP", "None"))
    config = spec.get("sessionAffinityConfig")
    if affinity == "ClientIP":
        where = "spec.sessionAffinityConfig"
        if config is None:
            errors.required(where, "when session affinity type is ClientIP")
        elif config.get("clientIP") is None:
            errors.required(where + ".clientIP", "when session affinity type is ClientIP")
        elif config["clientIP"].get("timeoutSeconds") is None:
            errors.required(where + ".clientIP.timeoutSeconds", "when session affinity type is ClientIP")
        elif not 0 < config["clientIP"]["timeoutSeconds"] <= 86400:
            errors.invalid(where + ".clientIP.timeoutSeconds", config["clientIP"]["timeoutSeconds"],
                           "must be greater than 0 and less than 86400")
    elif affinity == "None" and config is not None:
        errors.forbidden("spec.sessionAffinityConfig", "must not be set when session affinity is None")


def _cluster_ips(errors: Errors, spec: Object, kind: str) -> None:
    if kind == "ExternalName":
        return
    families, ips = spec.get("ipFamilies") or [], spec.get("clusterIPs") or []
    seen: set[str] = set()
    for i, family in enumerate(families):
        where = f"spec.ipFamilies[{i}]"
        if family not in ("IPv4", "IPv6"):
            errors.not_supported(where, family, ("IPv4", "IPv6"))
        elif family in seen:
            errors.duplicate(where, family)
        seen.add(family)
    policy = spec.get("ipFamilyPolicy")
    if policy is not None and policy not in _POLICIES:
        errors.not_supported("spec.ipFamilyPolicy", policy, _POLICIES)
    if spec.get("clusterIP") and not ips:
        errors.required("spec.clusterIPs")
    elif ips and ips[0] != (spec.get("clusterIP") or ""):
        errors.invalid("spec.clusterIPs", ips, "first value must match `clusterIP`")
    if len(ips) > 2:
        errors.invalid("spec.clusterIPs", ips, "may only hold up to 2 values")
    if ips == ["None"]:
        return
    for i, ip in enumerate(ips):
        where = f"spec.clusterIPs[{i}]"
        if ip == "None":
            if i > 0:
                errors.invalid(where, ip, "'None' must be the first and only value")
            continue
        if not is_ip(ip):
            errors.invalid(where, ip, IP_TEXT)
            return
        if i < len(families) and families[i] in ("IPv4", "IPv6"):
            if f"IPv{ipaddress.ip_address(ip).version}" != families[i]:
                errors.invalid(where, ip, f"expected an {families[i]} value as indicated by `ipFamilies[{i}]`")


def _node_ports(errors: Errors, spec: Object, ports: list[Object], kind: str) -> None:
    node_ports: set[tuple[str, int]] = set()
    for i, port in enumerate(ports):
        number = port.get("nodePort") or 0
        if number and kind in ("ClusterIP", "ExternalName"):
            errors.forbidden(f"spec.ports[{i}].nodePort", "may not be used when `type` is 'ClusterIP'")
        key = (port.get("protocol") or "", number)
        if number and key in node_ports:
            errors.duplicate(f"spec.ports[{i}].nodePort", number)
        node_ports.add(key)
    pairs: set[tuple[str, int]] = set()
    for i, port in enumerate(ports):
        pair = (port.get("protocol") or "", port.get("port") or 0)
        if pair in pairs:
            errors.duplicate(f"spec.ports[{i}]", {
                "Name": "", "Protocol": pair[0], "AppProtocol": None, "Port": pair[1], "TargetPort": 0, "NodePort": 0})
        pairs.add(pair)


def _load_balancer(errors: Errors, spec: Object, kind: str) -> None:
    ranges = spec.get("loadBalancerSourceRanges")
    if ranges:
        if kind != "LoadBalancer":
            errors.forbidden("spec.LoadBalancerSourceRanges", _ONLY_LOAD_BALANCER)
        for i, cidr in enumerate(ranges):
            validate_cidr(errors, f"spec.LoadBalancerSourceRanges[{i}]", cidr.strip())
    if kind == "LoadBalancer":
        if spec.get("allocateLoadBalancerNodePorts") is None:
            errors.required("spec.allocateLoadBalancerNodePorts")
    elif spec.get("allocateLoadBalancerNodePorts") is not None:
        errors.forbidden("spec.allocateLoadBalancerNodePorts", _ONLY_LOAD_BALANCER)
    name = spec.get("loadBalancerClass")
    if name is not None:
        if kind != "LoadBalancer":
            errors.forbidden("spec.loadBalancerClass", _ONLY_LOAD_BALANCER)
        errors.invalid_all("spec.loadBalancerClass", name, names.qualified_name(name))


def _traffic(errors: Errors, spec: Object, kind: str) -> None:
    external = spec.get("externalTrafficPolicy") or ""
    accessible = kind in ("LoadBalancer", "NodePort") or (kind == "ClusterIP" and bool(spec.get("externalIPs")))
    if accessible:
        if not external:
            errors.required("spec.externalTrafficPolicy")
        elif external not in ("Cluster", "Local"):
            errors.not_supported("spec.externalTrafficPolicy", external, ("Cluster", "Local"))
    elif external:
        errors.invalid("spec.externalTrafficPolicy", external, "may only be set for externally-accessible services")
    health = spec.get("healthCheckNodePort") or 0
    if health < 0:
        errors.invalid("spec.healthCheckNodePort", health, "must be greater than or equal to 0")
    elif health and not (kind == "LoadBalancer" and external == "Local"):
        errors.invalid("spec.healthCheckNodePort", health,
                       "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'")
    internal = spec.get("internalTrafficPolicy")
    if internal is None:
        if kind in ("ClusterIP", "LoadBalancer", "NodePort"):
            errors.required("spec.internalTrafficPolicy")
    elif internal not in ("Cluster", "Local"):
        errors.not_supported("spec.internalTrafficPolicy", internal, ("Cluster", "Local"))
    distribution = spec.get("trafficDistribution")
    supported = ("PreferClose", "PreferSameZone", "PreferSameNode")
    if distribution is not None and distribution not in supported:
        errors.not_supported("spec.trafficDistribution", distribution, supported)


def update(errors: Errors, service: Object, old: Object, subresource: str) -> None:
    validate_metadata_update(errors, service, old)
    spec, before = service.get("spec") or {}, old.get("spec") or {}
    if subresource == "status":
        _status(errors, service)
        return
    _cluster_ip_changes(errors, spec, before)
    was, now = before.get("loadBalancerClass"), spec.get("loadBalancerClass")
    if before.get("type") == "LoadBalancer" and spec.get("type") == "LoadBalancer" and was != now and (was or now):
        errors.invalid("spec.loadBalancerClass", now, "may not change once set")
    _validate_spec(errors, service)


def _cluster_ip_changes(errors: Errors, spec: Object, before: Object) -> None:
    """Addresses stay unless the Service stops or starts having any."""
    if "ExternalName" in (spec.get("type"), before.get("type")):
        return
    was, now = before.get("clusterIPs") or [], spec.get("clusterIPs") or []
    shown: Any = now
    if was and (not now or was[0] != now[0]):
        errors.invalid("spec.clusterIPs[0]", shown, "may not change once set")
    if len(was) > 1 and len(now) > 1 and was[1] != now[1]:
        errors.invalid("spec.clusterIPs[1]", shown, "may not change once set")
    families_was, families_now = before.get("ipFamilies") or [], spec.get("ipFamilies") or []
    if families_was and (not families_now or families_was[0] != families_now[0]):
        errors.invalid("spec.ipFamilies[0]", families_now, "may not change once set")


def _status(errors: Errors, service: Object) -> None:
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    if ingress and (service.get("spec") or {}).get("type") != "LoadBalancer":
        errors.forbidden("status.loadBalancer.ingress", "may only be used when `spec.type` is 'LoadBalancer'")
    validate_load_balancer(errors, "status.loadBalancer", ingress)


def validate_load_balancer(errors: Errors, path: str, ingress: list[Object]) -> None:
    for i, entry in enumerate(ingress):
        where = f"{path}.ingress[{i}]"
        if entry.get("ip"):
            validate_ip(errors, where + ".ip", entry["ip"])
        if entry.get("hostname"):
            errors.invalid_all(where + ".hostname", entry["hostname"], names.dns1123_subdomain(entry["hostname"]))
            if is_ip(entry["hostname"]):
                errors.invalid(where + ".hostname", entry["hostname"], "must be a DNS name, not an IP address")


RULES = {("", "Service"): Rules(create, update)}
