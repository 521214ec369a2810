"""Endpoints and EndpointSlices."""

from __future__ import annotations

import ipaddress

from apiserver.validation.field import PORT_RANGE, Errors, Object
from apiserver.validation.networks import IP_TEXT, is_ip, validate_non_special_ip
from apiserver.validation.objectmeta import validate_metadata, validate_metadata_update
from apiserver.validation.rules import Rules
from machinery.meta import names

_PROTOCOLS = ("SCTP", "TCP", "UDP")
_ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")


def create_endpoints(errors: Errors, endpoints: Object) -> None:
    validate_metadata(errors, endpoints, True)
    for i, subset in enumerate(endpoints.get("subsets") or ()):
        where = f"subsets[{i}]"
        ready, waiting = subset.get("addresses") or [], subset.get("notReadyAddresses") or []
        if not ready and not waiting:
            errors.required(where, "must specify `addresses` or `notReadyAddresses`")
        for field, addresses in (("addresses", ready), ("notReadyAddresses", waiting)):
            for j, address in enumerate(addresses):
                _address(errors, f"{where}.{field}[{j}]", address)
        ports = subset.get("ports") or []
        for j, port in enumerate(ports):
            _port(errors, f"{where}.ports[{j}]", port, len(ports) > 1)


def _address(errors: Errors, path: str, address: Object) -> None:
    ip = address.get("ip") or ""
    if not is_ip(ip):
        errors.invalid(path + ".ip", ip, IP_TEXT)
    if address.get("hostname"):
        errors.invalid_all(path + ".hostname", address["hostname"], names.dns1123_label(address["hostname"]))
    if address.get("nodeName") is not None:
        errors.invalid_all(path + ".nodeName", address["nodeName"], names.dns1123_subdomain(address["nodeName"]))
    validate_non_special_ip(errors, path + ".ip", ip)


def _port(errors: Errors, path: str, port: Object, named: bool) -> None:
    name = port.get("name") or ""
    if named and not name:
        errors.required(path + ".name")
    elif name:
        errors.invalid_all(path + ".name", name, names.dns1123_label(name))
    errors.port(path + ".port", port.get("port") or 0)
    protocol = port.get("protocol") or ""
    if not protocol:
        errors.required(path + ".protocol")
    elif protocol not in _PROTOCOLS:
        errors.not_supported(path + ".protocol", protocol, _PROTOCOLS)
    if port.get("appProtocol") is not None:
        errors.invalid_all(path + ".appProtocol", port["appProtocol"], names.qualified_name(port["appProtocol"]))


def update_endpoints(errors: Errors, endpoints: Object, old: Object, subresource: str) -> None:
    validate_metadata_update(errors, endpoints, old)
    create_endpoints(errors, endpoints)


def create_slice(errors: Errors, piece: Object) -> None:
    validate_metadata(errors, piece, True)
    kind = piece.get("addressType") or ""
    if not kind:
        errors.required("addressType")
    elif kind not in _ADDRESS_TYPES:
        errors.not_supported("addressType", kind, _ADDRESS_TYPES)
    _slice_endpoints(errors, piece.get("endpoints") or [], kind)
    _slice_ports(errors, piece.get("ports") or [])


def _slice_endpoints(errors: Errors, endpoints: list[Object], kind: str) -> None:
    if len(endpoints) > 1000:
        errors.too_many("endpoints", len(endpoints), 1000)
        return
    for i, endpoint in enumerate(endpoints):
        where = f"endpoints[{i}]"
        addresses = endpoint.get("addresses") or []
        if not addresses:
            errors.required(where + ".addresses", "must contain at least 1 address")
        elif len(addresses) > 100:
            errors.too_many(where + ".addresses", len(addresses), 100)
        for j, address in enumerate(addresses):
            _slice_address(errors, f"{where}.addresses[{j}]", address, kind)
        if endpoint.get("nodeName") is not None:
            errors.invalid_all(where + ".nodeName", endpoint["nodeName"], names.dns1123_subdomain(endpoint["nodeName"]))
        topology = endpoint.get("deprecatedTopology") or {}
        if len(topology) > 16:
            errors.too_many(where + ".deprecatedTopology", len(topology), 16)
        errors.label_values(where + ".deprecatedTopology", topology)
        if "topology.kubernetes.io/zone" in topology:
            key = "topology.kubernetes.io/zone"
            errors.invalid(f"{where}.deprecatedTopology[{key}]", topology[key], "reserved")
        if endpoint.get("hostname") is not None:
            errors.invalid_all(where + ".hostname", endpoint["hostname"], names.dns1123_label(endpoint["hostname"]))
        for kind_of_hint in ("forZones", "forNodes"):
            _hints(errors, f"{where}.hints.{kind_of_hint}", ((endpoint.get("hints") or {}).get(kind_of_hint)) or [])


def _slice_address(errors: Errors, path: str, address: str, kind: str) -> None:
    if kind == "FQDN":
        errors.invalid_all(path, address, names.dns1123_subdomain(address))
        return
    if not is_ip(address):
        errors.invalid(path, address, IP_TEXT)
        return
    if kind in ("IPv4", "IPv6") and f"IPv{ipaddress.ip_address(address).version}" != kind:
        errors.invalid(path, address, f"must be a valid {kind} address")
    validate_non_special_ip(errors, path, address)


def _hints(errors: Errors, path: str, hints: list[Object]) -> None:
    if len(hints) > 8:
        errors.too_many(path, len(hints), 8)
        return
    seen: set[str] = set()
    for i, hint in enumerate(hints):
        name, where = hint.get("name") or "", f"{path}[{i}].name"
        if name in seen:
            errors.duplicate(where, name)
        seen.add(name)
        errors.invalid_all(
            where, name, names.label_value(name) if path.endswith("forZones") else names.dns1123_subdomain(name)
        )


def _slice_ports(errors: Errors, ports: list[Object]) -> None:
    if len(ports) > 20000:
        errors.too_many("ports", len(ports), 20000)
        return
    seen: set[str] = set()
    for i, port in enumerate(ports):
        where, name = f"ports[{i}]", port.get("name") or ""
        if name:
            errors.invalid_all(where + ".name", name, names.dns1123_label(name))
        if name in seen:
            errors.duplicate(where + ".name", name)
        seen.add(name)
        number = port.get("port")
        if number is not None and not 1 <= number <= 65535:
            errors.invalid(where + ".port", number, PORT_RANGE)
        protocol = port.get("protocol")
        if protocol is None:
            errors.required(where + ".protocol")
        elif protocol not in _PROTOCOLS:
            errors.not_supported(where + ".protocol", protocol, _PROTOCOLS)
        if port.get("appProtocol") is not None:
            errors.invalid_all(where + ".appProtocol", port["appProtocol"], names.qualified_name(port["appProtocol"]))


def update_slice(errors: Errors, piece: Object, old: Object, subresource: str) -> None:
    create_slice(errors, piece)
    errors.immutable("addressType", piece.get("addressType"), old.get("addressType"))


RULES = {
    ("", "Endpoints"): Rules(create_endpoints, update_endpoints),
    ("discovery.k8s.io", "EndpointSlice"): Rules(create_slice, update_slice),
}
