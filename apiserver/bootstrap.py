"""The objects that a cluster is born with. Level-based: called at every start, writes only what is missing."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from apiserver.registry.access import RegistryReader, RegistryWriter
from machinery.api.table import KindTable
from machinery.meta.objects import format_time

if TYPE_CHECKING:
    from apiserver.main import Options

Object = dict[str, Any]

NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
PRIORITY_CLASSES = (
    ("system-cluster-critical", 2_000_000_000,
     "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary."),
    ("system-node-critical", 2_000_001_000,
     "Used for system critical pods that must not be moved from their current node."),
)  # fmt: skip


async def ensure_system_objects(
    options: Options, reader: RegistryReader, writer: RegistryWriter, kinds: KindTable
) -> None:
    for name in NAMESPACES:
        if reader.get("", "namespaces", "", name) is None:
            await writer.ensure("", "namespaces", "", {"metadata": {"name": name}})
    for name, value, description in PRIORITY_CLASSES:
        if reader.get("scheduling.k8s.io", "priorityclasses", "", name) is None:
            await writer.ensure("scheduling.k8s.io", "priorityclasses", "", {
                "metadata": {"name": name}, "value": value, "description": description,
            })  # fmt: skip
    await _ensure_service_network(options, reader, writer)
    await _ensure_api_services(reader, writer, kinds)


async def _ensure_service_network(options: Options, reader: RegistryReader, writer: RegistryWriter) -> None:
    ranges = options.service_cluster_ip_range.split(",")
    group = "networking.k8s.io"
    if reader.get(group, "servicecidrs", "", "kubernetes") is None:
        await writer.ensure(group, "servicecidrs", "", {
            "metadata": {"name": "kubernetes"}, "spec": {"cidrs": ranges},
        })  # fmt: skip
        await writer.apply_status(group, "servicecidrs", "", "kubernetes", {"conditions": [{
            "type": "Ready", "status": "True", "lastTransitionTime": format_time(datetime.now(UTC)),
            "message": "Kubernetes default Service CIDR is ready",
        }]}, manager="kubernetes-service-cidr-controller")  # fmt: skip
    if reader.get("", "services", "default", "kubernetes") is None:
        first = str(ipaddress.ip_network(ranges[0])[1])
        await writer.ensure("", "services", "default", kubernetes_service(first, options.port))
    if options.endpoint_reconciler_type != "none" and options.advertise_address:
        await _publish_endpoint(options, reader, writer)


def kubernetes_service(address: str, port: int) -> Object:
    return {
        "metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {
            "clusterIP": address, "ipFamilyPolicy": "SingleStack", "type": "ClusterIP", "sessionAffinity": "None",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}],
        },
    }  # fmt: skip


async def _publish_endpoint(options: Options, reader: RegistryReader, writer: RegistryWriter) -> None:
    """Endpoints and EndpointSlice of the kubernetes Service: this server."""
    address, port = options.advertise_address, options.port
    subsets = [{"addresses": [{"ip": address}], "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}]
    labels = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    endpoints = {"metadata": {"name": "kubernetes", "labels": labels}, "subsets": subsets}
    await _ensure_like(reader, writer, "", "endpoints", endpoints, ("subsets",))
    family = "IPv6" if ":" in address else "IPv4"
    slice_ = {
        "metadata": {"name": "kubernetes", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": family,
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }
    await _ensure_like(reader, writer, "discovery.k8s.io", "endpointslices", slice_, ("endpoints", "ports"))


async def _ensure_like(
    reader: RegistryReader, writer: RegistryWriter, group: str, resource: str, wanted: Object, parts: tuple[str, ...]
) -> None:
    name = wanted["metadata"]["name"]
    present = reader.get(group, resource, "default", name)
    if present is None:
        await writer.ensure(group, resource, "default", wanted)
        return
    if all(present.get(part) == wanted[part] for part in parts):
        return

    def change(obj: Object) -> Object:
        return obj | {part: wanted[part] for part in parts}

    await writer.update(group, resource, "default", name, change)


async def _ensure_api_services(reader: RegistryReader, writer: RegistryWriter, kinds: KindTable) -> None:
    """One APIService a built-in group-version, as an aggregation layer lists what it serves itself."""
    group = "apiregistration.k8s.io"
    for api_group, version in kinds.group_versions():
        name = f"{version}.{api_group}"
        if reader.get(group, "apiservices", "", name) is not None:
            continue
        await writer.ensure(group, "apiservices", "", {
            "metadata": {"name": name, "labels": {"kube-aggregator.kubernetes.io/automanaged": "onstart"}},
            "spec": {
                "group": api_group, "version": version, "groupPriorityMinimum": kinds.group_priority(api_group),
                "versionPriority": version_priority(kinds, api_group, version),
            },
        })  # fmt: skip


def version_priority(kinds: KindTable, group: str, version: str) -> int:
    """1 for the core group, 15 for the rest; the better of several versions comes first."""
    if not group:
        return 1
    versions = kinds.versions(group)
    return 15 + 15 * (len(versions) - 1 - versions.index(version))
