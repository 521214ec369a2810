"""Slices that mirror Endpoints written by hand (a Service without selector). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controllers.endpointslice.plan import MANAGED_BY, SERVICE_NAME
from controllers.endpointslice.reconcile import Group, SlicePlan, port_key, reconcile
from controllers.service_pods import TRIGGER_TIME
from machinery.meta.objects import annotations_of, is_terminating, labels_of, owner_reference

Object = dict[str, Any]

MANAGER = "endpointslicemirroring-controller.k8s.io"
SKIP_MIRROR = "endpointslice.kubernetes.io/skip-mirror"
LEADER = "control-plane.alpha.kubernetes.io/leader"
MAX_PER_SUBSET = 1000
NOT_MIRRORED = (TRIGGER_TIME, "kubectl.kubernetes.io/last-applied-configuration")


def should_mirror(endpoints: Object | None, service: Object | None) -> bool:
    if endpoints is None or service is None or is_terminating(endpoints):
        return False
    if labels_of(endpoints).get(SKIP_MIRROR) == "true" or LEADER in annotations_of(endpoints):
        return False
    return not service["spec"].get("selector")


def _mirror_address(address: Object, ready: bool) -> Object:
    endpoint: Object = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
    for name in ("hostname", "nodeName", "targetRef"):
        if address.get(name):
            endpoint[name] = address[name]
    return endpoint


def mirror_groups(endpoints: Object) -> list[Group]:
    groups: dict[tuple[str, Any], Group] = {}
    for subset in endpoints.get("subsets") or ():
        ports = []
        for port in subset.get("ports") or ():
            entry = {"name": port.get("name") or "", "protocol": port.get("protocol") or "TCP", "port": port["port"]}
            ports.append(entry | ({"appProtocol": port["appProtocol"]} if port.get("appProtocol") else {}))
        entries = [(address, True) for address in subset.get("addresses") or ()]
        entries += [(address, False) for address in subset.get("notReadyAddresses") or ()]
        for address, ready in entries[:MAX_PER_SUBSET]:
            family = "IPv6" if ":" in address["ip"] else "IPv4"
            group = groups.setdefault((family, port_key(ports)), Group(family, ports))
            group.endpoints.append(_mirror_address(address, ready))
    return list(groups.values())


def plan_mirror(endpoints: Object, existing: Sequence[Object]) -> SlicePlan:
    meta = endpoints["metadata"]
    labels = {key: value for key, value in labels_of(endpoints).items() if key != "endpoints.kubernetes.io/managed-by"}
    metadata: Object = {
        "generateName": f"{meta['name']}-", "namespace": meta["namespace"],
        "labels": {**labels, SERVICE_NAME: meta["name"], MANAGED_BY: MANAGER},
        "ownerReferences": [owner_reference(endpoints, "v1", "Endpoints")],
    }  # fmt: skip
    annotations = {key: value for key, value in annotations_of(endpoints).items() if key not in NOT_MIRRORED}
    if annotations:
        metadata["annotations"] = annotations
    template = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata}
    return reconcile(mirror_groups(endpoints), existing, template, placeholder_types=())
