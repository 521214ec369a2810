"""How networking.k8s.io and discovery.k8s.io print."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from machinery.api.printers.cells import NONE, UNSET, age, format_selector, name_of, shortened, spec_of, status_of
from machinery.api.printers.columns import AGE, NAME, Cells, Column, Printer
from machinery.api.printers.core import balancer_addresses

Object = dict[str, Any]


def _ingress_row(ingress: Object, now: datetime) -> Cells:
    spec = spec_of(ingress)
    hosts = [rule["host"] for rule in spec.get("rules") or () if rule.get("host")]
    return [
        name_of(ingress), spec.get("ingressClassName") or NONE, shortened(hosts, empty="*"),
        ",".join(balancer_addresses(status_of(ingress))), "80, 443" if spec.get("tls") else "80", age(ingress, now),
    ]  # fmt: skip


def _ingress_class_row(ingress_class: Object, now: datetime) -> Cells:
    spec = spec_of(ingress_class)
    parameters = spec.get("parameters")
    word = NONE
    if parameters:
        kind = parameters.get("kind", "")
        if parameters.get("apiGroup"):
            kind = f"{kind}.{parameters['apiGroup']}"
        word = f"{kind}/{parameters.get('name', '')}"
    return [name_of(ingress_class), spec.get("controller", ""), word, age(ingress_class, now)]


def _policy_row(policy: Object, now: datetime) -> Cells:
    return [name_of(policy), format_selector(spec_of(policy).get("podSelector")), age(policy, now)]


def _address_row(address: Object, now: datetime) -> Cells:
    parent = spec_of(address).get("parentRef") or {}
    resource = parent.get("resource", "")
    if parent.get("group"):
        resource = f"{resource}.{parent['group']}"
    words = [resource, parent.get("namespace"), parent.get("name", "")]
    return [name_of(address), "/".join(word for word in words if word), age(address, now)]


def _cidr_row(cidr: Object, now: datetime) -> Cells:
    return [name_of(cidr), ",".join(spec_of(cidr).get("cidrs") or ()), age(cidr, now)]


def _slice_row(endpoint_slice: Object, now: datetime) -> Cells:
    ports = [
        str(port["port"]) if port.get("port") is not None else port.get("name") or "*"
        for port in endpoint_slice.get("ports") or ()
    ]
    addresses = [ip for endpoint in endpoint_slice.get("endpoints") or () for ip in endpoint.get("addresses") or ()]
    return [
        name_of(endpoint_slice), endpoint_slice.get("addressType", ""), shortened(ports, empty=UNSET),
        shortened(addresses, empty=UNSET), age(endpoint_slice, now),
    ]  # fmt: skip


_SLICE = "discovery.v1.EndpointSlice."
PRINTERS = {
    ("networking.k8s.io/v1", "Ingress"): Printer(
        (
            NAME,
            Column(
                "Class",
                text="The name of the IngressClass resource that should be used for additional configuration",
            ),
            Column("Hosts", text="Hosts that incoming requests are matched against before the ingress rule"),
            Column("Address", text="Address is a list containing ingress points for the load-balancer"),
            Column("Ports", text="Ports of TLS configurations that open"), AGE,
        ),
        _ingress_row,
    ),
    ("networking.k8s.io/v1", "IngressClass"): Printer(
        (
            NAME, Column("Controller", text="Controller that is responsible for handling this class"),
            Column("Parameters", text="A reference to a resource with additional parameters"), AGE,
        ),
        _ingress_class_row,
    ),
    ("networking.k8s.io/v1", "NetworkPolicy"): Printer(
        (NAME, Column("Pod-Selector", doc="networking.v1.NetworkPolicySpec.podSelector"), AGE), _policy_row
    ),
    ("networking.k8s.io/v1", "IPAddress"): Printer(
        (NAME, Column("ParentRef", doc="networking.v1.IPAddressSpec.parentRef"), AGE), _address_row
    ),
    ("networking.k8s.io/v1", "ServiceCIDR"): Printer(
        (NAME, Column("CIDRs", doc="networking.v1.ServiceCIDRSpec.cidrs"), AGE), _cidr_row
    ),
    ("discovery.k8s.io/v1", "EndpointSlice"): Printer(
        (
            NAME, Column("AddressType", doc=_SLICE + "addressType"), Column("Ports", doc=_SLICE + "ports"),
            Column("Endpoints", doc=_SLICE + "endpoints"), AGE,
        ),
        _slice_row,
    ),
}  # fmt: skip
