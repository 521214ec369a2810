"""The Endpoints object of a Service: addresses grouped so that every subset is one set of addresses × ports. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controllers.service_pods import (
    HEADLESS_LABEL,
    TRIGGER_TIME,
    find_port,
    hostname_for,
    is_headless,
    last_change,
    may_back,
    pod_ips,
    target_reference,
)
from machinery.meta.conditions import is_pod_ready
from machinery.meta.objects import annotations_of, labels_of

Object = dict[str, Any]

MANAGED_BY = "endpoints.kubernetes.io/managed-by"
MANAGER = "endpoint-controller"
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
MAX_ADDRESSES = 1000


def make_address(pod: Object, service: Object) -> Object:
    address: Object = {"ip": pod_ips(pod)[0]}
    if (hostname := hostname_for(pod, service)) is not None:
        address["hostname"] = hostname
    if pod["spec"].get("nodeName"):
        address["nodeName"] = pod["spec"]["nodeName"]
    address["targetRef"] = target_reference(pod)
    return address


def pack(entries: Sequence[tuple[Object, bool, Object]]) -> list[Object]:
    """(address, ready, port) triples -> subsets. Ports with the same addresses share a subset; orders are stable."""
    by_port: dict[tuple[Any, ...], tuple[Object, dict[tuple[str, str], tuple[Object, bool]]]] = {}
    for address, ready, port in entries:
        port_key = (port.get("name", ""), port.get("port", 0), port.get("protocol", ""), port.get("appProtocol", ""))
        addresses = by_port.setdefault(port_key, (port, {}))[1]
        address_key = (address["ip"], address.get("targetRef", {}).get("uid", ""))
        known = addresses.get(address_key)
        addresses[address_key] = (address, ready if known is None else ready and known[1])
    groups: dict[tuple[Any, ...], tuple[list[Object], dict[tuple[str, str], tuple[Object, bool]]]] = {}
    for port_key in sorted(by_port):
        port, addresses = by_port[port_key]
        group_key = tuple(sorted((key, ready) for key, (_, ready) in addresses.items()))
        groups.setdefault(group_key, ([], addresses))[0].append(port)
    subsets = []
    for ports, addresses in groups.values():
        subset: Object = {}
        ready_ones = [address for _, (address, ready) in sorted(addresses.items()) if ready]
        others = [address for _, (address, ready) in sorted(addresses.items()) if not ready]
        if ready_ones:
            subset["addresses"] = ready_ones
        if others:
            subset["notReadyAddresses"] = others
        real_ports = [port for port in ports if port]
        if real_ports:
            subset["ports"] = real_ports
        subsets.append(subset)
    return subsets


def compute_subsets(service: Object, pods: Sequence[Object]) -> tuple[list[Object], bool]:
    """(subsets, over capacity)."""
    tolerate = bool(service["spec"].get("publishNotReadyAddresses"))
    entries: list[tuple[Object, bool, Object]] = []
    backing = [pod for pod in pods if may_back(pod, include_terminating=tolerate)]
    backing.sort(key=lambda pod: (not is_pod_ready(pod), pod["metadata"]["name"]))
    for pod in backing[:MAX_ADDRESSES]:
        address, ready = make_address(pod, service), tolerate or is_pod_ready(pod)
        ports = service["spec"].get("ports") or ()
        if not ports and is_headless(service):
            entries.append((address, ready, {}))
        for port in ports:
            number = find_port(pod, port)
            if number is None:
                continue
            found: Object = {"port": number, "protocol": port.get("protocol") or "TCP"}
            if port.get("name"):
                found["name"] = port["name"]
            if port.get("appProtocol"):
                found["appProtocol"] = port["appProtocol"]
            entries.append((address, ready, found))
    return pack(entries), len(backing) > MAX_ADDRESSES


def plan_endpoints(service: Object, pods: Sequence[Object], current: Object | None) -> Object | None:
    """The object to write; None when the present one says the same."""
    subsets, over = compute_subsets(service, pods)
    labels = {**labels_of(service), MANAGED_BY: MANAGER}
    labels.pop(HEADLESS_LABEL, None)
    if is_headless(service):
        labels[HEADLESS_LABEL] = ""
    annotations = dict(annotations_of(current)) if current is not None else {}
    before_over = annotations.pop(OVER_CAPACITY, None)
    if over:
        annotations[OVER_CAPACITY] = "truncated"
    if (
        current is not None and (current.get("subsets") or []) == subsets and labels_of(current) == labels
        and (before_over is not None) == over
    ):  # fmt: skip
        return None
    if (changed := last_change(service, pods)) is not None:
        annotations[TRIGGER_TIME] = changed
    meta = service["metadata"]
    base: Object = current or {
        "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": meta["name"], "namespace": meta["namespace"]},
    }  # fmt: skip
    made = {**base, "metadata": {**base["metadata"], "labels": labels, "annotations": annotations}}
    made.pop("subsets", None)
    return {**made, "subsets": subsets} if subsets else made
