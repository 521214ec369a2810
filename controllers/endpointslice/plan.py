"""The endpoints of a Service, grouped by address family and ports. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from controllers.endpointslice.reconcile import Group, SlicePlan, port_key, reconcile
from controllers.service_pods import (
    HEADLESS_LABEL,
    TRIGGER_TIME,
    find_port,
    hostname_for,
    ip_of_family,
    is_headless,
    last_change,
    may_back,
    target_reference,
)
from machinery.meta.conditions import is_pod_ready
from machinery.meta.objects import is_terminating, labels_of, owner_reference

Object = dict[str, Any]
FindNode = Callable[[str], Object | None]

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
ZONE = "topology.kubernetes.io/zone"


def make_endpoint(pod: Object, service: Object, address: str, node: Object | None) -> Object:
    serving, terminating = is_pod_ready(pod), is_terminating(pod)
    ready = bool(service["spec"].get("publishNotReadyAddresses")) or (serving and not terminating)
    endpoint: Object = {
        "addresses": [address], "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "targetRef": target_reference(pod),
    }  # fmt: skip
    if (hostname := hostname_for(pod, service)) is not None:
        endpoint["hostname"] = hostname
    if pod["spec"].get("nodeName"):
        endpoint["nodeName"] = pod["spec"]["nodeName"]
    if node is not None and labels_of(node).get(ZONE):
        endpoint["zone"] = labels_of(node)[ZONE]
    return endpoint


def endpoint_ports(pod: Object, service: Object) -> list[Object]:
    found: list[Object] = []
    for port in service["spec"].get("ports") or ():
        number = find_port(pod, port)
        if number is None:
            continue
        entry = {"name": port.get("name") or "", "protocol": port.get("protocol") or "TCP", "port": number}
        if port.get("appProtocol"):
            entry["appProtocol"] = port["appProtocol"]
        found.append(entry)
    return found


def address_types(service: Object) -> list[str]:
    return list(service["spec"].get("ipFamilies") or ["IPv4"])


def group_endpoints(
    service: Object, pods: Sequence[Object], find_node: FindNode
) -> tuple[list[Group], bool]:
    """(groups, whether a pod was left out because its node is not there yet)."""
    groups: dict[tuple[str, Any], Group] = {}
    missing = False
    for pod in sorted(pods, key=lambda pod: pod["metadata"]["name"]):
        if not may_back(pod, include_terminating=True):
            continue
        node_name = pod["spec"].get("nodeName") or ""
        node = find_node(node_name) if node_name else None
        if node_name and node is None and not service["spec"].get("publishNotReadyAddresses"):
            missing = True
            continue
        ports = endpoint_ports(pod, service)
        for family in address_types(service):
            address = ip_of_family(pod, family)
            if address is None:
                continue
            group = groups.setdefault((family, port_key(ports)), Group(family, ports))
            group.endpoints.append(make_endpoint(pod, service, address, node))
    for group in groups.values():
        _add_hints(service, group)
    return list(groups.values()), missing


def _add_hints(service: Object, group: Group) -> None:
    """trafficDistribution: every endpoint hints at its own zone (or node); proxies ignore incomplete hints."""
    preference = service["spec"].get("trafficDistribution")
    for endpoint in group.endpoints:
        if not endpoint["conditions"]["ready"]:
            continue
        hints: Object = {}
        if preference in ("PreferClose", "PreferSameZone", "PreferSameNode") and endpoint.get("zone"):
            hints["forZones"] = [{"name": endpoint["zone"]}]
        if preference == "PreferSameNode" and endpoint.get("nodeName"):
            hints["forNodes"] = [{"name": endpoint["nodeName"]}]
        if hints:
            endpoint["hints"] = hints


def slice_labels(service: Object) -> dict[str, str]:
    labels = {key: value for key, value in labels_of(service).items() if key not in (SERVICE_NAME, MANAGED_BY)}
    labels.pop(HEADLESS_LABEL, None)
    if is_headless(service):
        labels[HEADLESS_LABEL] = ""
    return {**labels, SERVICE_NAME: service["metadata"]["name"], MANAGED_BY: MANAGER}


def plan_slices(
    service: Object, pods: Sequence[Object], find_node: FindNode, existing: Sequence[Object]
) -> tuple[SlicePlan, bool]:
    groups, missing = group_endpoints(service, pods, find_node)
    meta = service["metadata"]
    metadata: Object = {
        "generateName": f"{meta['name']}-", "namespace": meta["namespace"], "labels": slice_labels(service),
        "ownerReferences": [owner_reference(service, "v1", "Service")],
    }  # fmt: skip
    if (changed := last_change(service, pods)) is not None:
        metadata["annotations"] = {TRIGGER_TIME: changed}
    template = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata}
    return reconcile(groups, existing, template, placeholder_types=address_types(service)), missing
