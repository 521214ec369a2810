"""How the core group prints, except pods and volumes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from machinery.api.printers.cells import NONE, age, format_labels, name_of, shortened, spec_of, status_of
from machinery.api.printers.columns import AGE, NAME, Cells, Column, Printer, wide

Object = dict[str, Any]

_ROLE_PREFIX = "node-role.kubernetes.io/"


def _service_row(service: Object, now: datetime) -> Cells:
    spec = spec_of(service)
    addresses = spec.get("clusterIPs") or [spec.get("clusterIP")]
    return [
        name_of(service), spec.get("type", ""), addresses[0] or NONE, _external_address(service),
        ",".join(_port(port) for port in spec.get("ports") or ()) or NONE, age(service, now),
        format_labels(spec.get("selector")),
    ]  # fmt: skip


def _port(port: Object) -> str:
    protocol = port.get("protocol", "TCP")
    if port.get("nodePort"):
        return f"{port['port']}:{port['nodePort']}/{protocol}"
    return f"{port['port']}/{protocol}"


def _external_address(service: Object) -> str:
    spec = spec_of(service)
    external = spec.get("externalIPs") or []
    match spec.get("type"):
        case "ClusterIP" | "NodePort":
            return ",".join(external) or NONE
        case "LoadBalancer":
            given = balancer_addresses(status_of(service))
            return ",".join([*given, *external]) or "<pending>"
        case "ExternalName":
            return str(spec.get("externalName", ""))
    return "<unknown>"


def balancer_addresses(status: Object) -> list[str]:
    """Addresses that a load balancer reports, of a Service or an Ingress."""
    ingress = (status.get("loadBalancer") or {}).get("ingress") or ()
    return sorted({one.get("ip") or one.get("hostname") or "" for one in ingress} - {""})


def _endpoints_row(endpoints: Object, now: datetime) -> Cells:
    words: list[str] = []
    for subset in endpoints.get("subsets") or ():
        addresses = [one.get("ip", "") for one in subset.get("addresses") or ()]
        ports = subset.get("ports") or ()
        if not ports:
            words += addresses
        for port in ports:
            words += [f"[{ip}]:{port['port']}" if ":" in ip else f"{ip}:{port['port']}" for ip in addresses]
    return [name_of(endpoints), shortened(words), age(endpoints, now)]


def _node_row(node: Object, now: datetime) -> Cells:
    spec, status = spec_of(node), status_of(node)
    info = status.get("nodeInfo") or {}
    ready = next((one for one in status.get("conditions") or () if one.get("type") == "Ready"), None)
    words = ["Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"]
    if spec.get("unschedulable"):
        words.append("SchedulingDisabled")
    unknown = "<unknown>"
    return [
        name_of(node), ",".join(words), ",".join(_roles(node)) or NONE, age(node, now), info.get("kubeletVersion", ""),
        _address(status, "InternalIP"), _address(status, "ExternalIP"), info.get("osImage") or unknown,
        info.get("kernelVersion") or unknown, info.get("containerRuntimeVersion") or unknown,
    ]  # fmt: skip


def _roles(node: Object) -> list[str]:
    labels = node["metadata"].get("labels") or {}
    roles = {label.removeprefix(_ROLE_PREFIX) for label in labels if label.startswith(_ROLE_PREFIX)}
    roles |= {value for label, value in labels.items() if label == "kubernetes.io/role"}
    return sorted(roles - {""})


def _address(status: Object, type_: str) -> str:
    return next((one["address"] for one in status.get("addresses") or () if one.get("type") == type_), NONE)


def _quota_row(quota: Object, now: datetime) -> Cells:
    status = status_of(quota)
    hard, used = status.get("hard") or {}, status.get("used") or {}
    words = {name: f"{name}: {used.get(name, '0')}/{hard[name]}" for name in sorted(hard)}
    limits = [word for name, word in words.items() if name.split(".")[0] == "limits"]
    requests = [word for name, word in words.items() if name.split(".")[0] != "limits"]
    return [name_of(quota), ", ".join(requests), ", ".join(limits), age(quota, now)]


def _component_row(component: Object, now: datetime) -> Cells:
    healthy: Object = next((one for one in component.get("conditions") or () if one.get("type") == "Healthy"), {})
    word = {"True": "Healthy", "False": "Unhealthy"}.get(healthy.get("status", ""), "Unknown")
    return [name_of(component), word, healthy.get("message", ""), healthy.get("error", "")]


def _config_map_row(config_map: Object, now: datetime) -> Cells:
    count = len(config_map.get("data") or ()) + len(config_map.get("binaryData") or ())
    return [name_of(config_map), count, age(config_map, now)]


def _namespace_row(namespace: Object, now: datetime) -> Cells:
    return [name_of(namespace), status_of(namespace).get("phase", ""), age(namespace, now)]


def _secret_row(secret: Object, now: datetime) -> Cells:
    return [name_of(secret), secret.get("type", ""), len(secret.get("data") or ()), age(secret, now)]


def _account_row(account: Object, now: datetime) -> Cells:
    return [name_of(account), age(account, now)]


_INFO = "core.v1.NodeSystemInfo."
PRINTERS = {
    ("v1", "Service"): Printer(
        (
            NAME, Column("Type", doc="core.v1.ServiceSpec.type"),
            Column("Cluster-IP", doc="core.v1.ServiceSpec.clusterIP"),
            Column("External-IP", doc="core.v1.ServiceSpec.externalIPs"),
            Column("Port(s)", doc="core.v1.ServiceSpec.ports"), AGE,
            wide("Selector", doc="core.v1.ServiceSpec.selector"),
        ),
        _service_row,
    ),
    ("v1", "Endpoints"): Printer((NAME, Column("Endpoints", doc="core.v1.Endpoints.subsets"), AGE), _endpoints_row),
    ("v1", "Node"): Printer(
        (
            NAME, Column("Status", text="The status of the node"), Column("Roles", text="The roles of the node"), AGE,
            Column("Version", doc=_INFO + "kubeletVersion"),
            wide("Internal-IP", doc="core.v1.NodeStatus.addresses"),
            wide("External-IP", doc="core.v1.NodeStatus.addresses"), wide("OS-Image", doc=_INFO + "osImage"),
            wide("Kernel-Version", doc=_INFO + "kernelVersion"),
            wide("Container-Runtime", doc=_INFO + "containerRuntimeVersion"),
        ),
        _node_row,
    ),
    ("v1", "ResourceQuota"): Printer(
        (
            NAME,
            Column("Request", text="Request represents a minimum amount of cpu/memory that a container may consume."),
            Column(
                "Limit",
                text="Limits control the maximum amount of cpu/memory that a container may use independent of "
                "contention on the node.",
            ),
            AGE,
        ),
        _quota_row,
    ),
    ("v1", "ComponentStatus"): Printer(
        (
            NAME, Column("Status", text="Status of the component conditions"),
            Column("Message", text="Message of the component conditions"),
            Column("Error", text="Error of the component conditions"),
        ),
        _component_row,
    ),
    ("v1", "ConfigMap"): Printer((NAME, Column("Data", doc="core.v1.ConfigMap.data"), AGE), _config_map_row),
    ("v1", "Namespace"): Printer((NAME, Column("Status", text="The status of the namespace"), AGE), _namespace_row),
    ("v1", "Secret"): Printer(
        (NAME, Column("Type", doc="core.v1.Secret.type"), Column("Data", doc="core.v1.Secret.data"), AGE), _secret_row
    ),
    ("v1", "ServiceAccount"): Printer((NAME, AGE), _account_row),
}  # fmt: skip
