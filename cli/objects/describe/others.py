"""Services, Nodes, ConfigMaps, Secrets, Namespaces, and everything that has no words of its own."""

from __future__ import annotations

import base64
import re
from datetime import datetime
from typing import Any

from cli.objects.age import age_of
from cli.objects.describe.writer import NONE, Writer, head, labels, shown_time
from machinery.meta.quantity import parse_quantity

Object = dict[str, Any]


def write_service(out: Writer, obj: Object, related: Object) -> None:
    spec = obj["spec"]
    head(out, obj)
    labels(out, obj)
    out.mapping("Selector", spec.get("selector"))
    out.field("Type", spec.get("type", ""))
    if spec.get("ipFamilyPolicy"):
        out.field("IP Family Policy", spec["ipFamilyPolicy"])
    out.field("IP Families", ",".join(spec.get("ipFamilies") or ()) or NONE)
    out.field("IP", spec.get("clusterIP", ""))
    out.field("IPs", ",".join(spec.get("clusterIPs") or ()) or NONE)
    if spec.get("externalName"):
        out.field("External Name", spec["externalName"])
    for port in spec.get("ports") or ():
        name, protocol = port.get("name") or "<unset>", port.get("protocol", "TCP")
        out.line(0, "Port:", name, f"{port['port']}/{protocol}")
        out.field("TargetPort", f"{port.get('targetPort', port['port'])}/{protocol}")
        if port.get("nodePort"):
            out.line(0, "NodePort:", name, f"{port['nodePort']}/{protocol}")
        out.field("Endpoints", _endpoints(related.get("endpointslices", ()), port.get("name") or ""))
    out.field("Session Affinity", spec.get("sessionAffinity", "None"))
    for title, key in (("External Traffic Policy", "externalTrafficPolicy"),
                       ("Internal Traffic Policy", "internalTrafficPolicy")):  # fmt: skip
        if spec.get(key):
            out.field(title, spec[key])


def _endpoints(slices: Any, port_name: str) -> str:
    found = []
    for piece in slices:
        for port in piece.get("ports") or ():
            if (port.get("name") or "") == port_name:
                found += [
                    f"{address}:{port['port']}"
                    for endpoint in piece.get("endpoints") or ()
                    if (endpoint.get("conditions") or {}).get("ready", True)
                    for address in endpoint["addresses"]
                ]
    return ",".join(found[:3]) + (f" + {len(found) - 3} more..." if len(found) > 3 else "")


def write_node(out: Writer, obj: Object, related: Object) -> None:
    spec, status, metadata = obj["spec"], obj.get("status") or {}, obj["metadata"]
    out.field("Name", metadata["name"])
    roles = sorted(key.removeprefix(_ROLE) for key in metadata.get("labels") or {} if key.startswith(_ROLE))
    out.field("Roles", ",".join(roles) or NONE)
    labels(out, obj)
    out.field("CreationTimestamp", shown_time(metadata.get("creationTimestamp")))
    out.lines("Taints", [_taint(taint) for taint in spec.get("taints") or ()])
    out.field("Unschedulable", str(bool(spec.get("unschedulable"))).lower())
    lease = related.get("lease")
    if lease:
        out.line(0, "Lease:")
        out.field("HolderIdentity", lease["spec"].get("holderIdentity", "<unset>"), 1)
        out.field("AcquireTime", shown_time(lease["spec"].get("acquireTime")), 1)
        out.field("RenewTime", shown_time(lease["spec"].get("renewTime")), 1)
    out.line(0, "Conditions:")
    out.line(1, "Type", "Status", "LastHeartbeatTime", "LastTransitionTime", "Reason", "Message")
    out.line(1, "----", "------", "-----------------", "------------------", "------", "-------")
    for c in status.get("conditions") or ():
        times = (shown_time(c.get("lastHeartbeatTime")), shown_time(c.get("lastTransitionTime")))
        cells = (c["type"], c["status"], *times, c.get("reason", ""))
        out.line(1, *(f"{cell} " for cell in cells), c.get("message", ""))
    out.line(0, "Addresses:")
    for address in status.get("addresses") or ():
        out.field(address["type"], address["address"], 1)
    for title in ("capacity", "allocatable"):
        out.line(0, f"{title.capitalize()}:")
        for name, amount in sorted((status.get(title) or {}).items()):
            out.field(name, amount, 1)
    out.line(0, "System Info:")
    info = status.get("nodeInfo") or {}
    for title, key in _NODE_INFO:
        if key != "kubeProxyVersion" or info.get(key):
            out.field(title, info.get(key, ""), 1)
    for title, key in (("PodCIDR", "podCIDR"), ("ProviderID", "providerID")):
        if spec.get(key):
            out.field(title, spec[key])
    if spec.get("podCIDRs"):
        out.field("PodCIDRs", ",".join(spec["podCIDRs"]))
    _write_node_pods(out, obj, [pod for pod in related.get("pods", ()) if _is_running(pod)], related["now"])


_ROLE = "node-role.kubernetes.io/"
_NODE_INFO = (
    ("Machine ID", "machineID"), ("System UUID", "systemUUID"), ("Boot ID", "bootID"),
    ("Kernel Version", "kernelVersion"), ("OS Image", "osImage"), ("Operating System", "operatingSystem"),
    ("Architecture", "architecture"), ("Container Runtime Version", "containerRuntimeVersion"),
    ("Kubelet Version", "kubeletVersion"), ("Kube-Proxy Version", "kubeProxyVersion"),
)  # fmt: skip


def _taint(taint: Object) -> str:
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint['key']}{value}:{taint['effect']}"


def _is_running(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")


def _write_node_pods(out: Writer, node: Object, pods: list[Object], now: datetime) -> None:
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    out.field("Non-terminated Pods", f"({len(pods)} in total)")
    out.line(1, "Namespace", "Name", "", "CPU Requests", "CPU Limits", "Memory Requests", "Memory Limits", "Age")
    out.line(1, "---------", "----", "", "------------", "----------", "---------------", "-------------", "---")
    resources = ["cpu", "memory", *sorted(allocatable.keys() - {"cpu", "memory", "pods"})]
    totals = dict.fromkeys([(kind, resource) for resource in resources for kind in ("requests", "limits")], 0)
    for pod in pods:
        sums = {column: _sum(pod, *column) for column in totals}
        for column, amount in sums.items():
            totals[column] += amount
        shares = [_share(column[1], sums[column], allocatable) for column in _COLUMNS]
        metadata = pod["metadata"]
        age = age_of(metadata.get("creationTimestamp"), now)
        out.line(1, metadata["namespace"], metadata["name"], "", *shares, age)
    out.line(0, "Allocated resources:")
    out.line(1, "(Total limits may be over 100 percent, i.e., overcommitted.)")
    out.line(1, "Resource", "Requests", "Limits")
    out.line(1, "--------", "--------", "------")
    for resource in resources:
        shares = [_share(resource, totals[kind, resource], allocatable) for kind in ("requests", "limits")]
        out.line(1, resource, *shares)


_COLUMNS = (("requests", "cpu"), ("limits", "cpu"), ("requests", "memory"), ("limits", "memory"))


def _sum(pod: Object, kind: str, resource: str) -> int:
    """Milli-units of a pod's containers."""
    amounts = [((c.get("resources") or {}).get(kind) or {}).get(resource) for c in pod["spec"]["containers"]]
    return sum(parse_quantity(amount).milli_value() for amount in amounts if amount is not None)


def _share(resource: str, milli: int, allocatable: Object) -> str:
    whole = parse_quantity(allocatable.get(resource, 0)).milli_value()
    percent = f"({100 * milli // whole if whole else 0}%)"
    if resource == "cpu":
        return f"{f'{milli}m' if milli % 1000 else milli // 1000} {percent}"
    amount = milli // 1000
    for unit, size in (("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)):
        if amount and amount % size == 0:
            return f"{amount // size}{unit} {percent}"
    return f"{amount} {percent}"


def write_config_map(out: Writer, obj: Object, related: Object) -> None:
    head(out, obj)
    labels(out, obj)
    out.line(0, "")
    out.line(0, "Data")
    out.line(0, "====")
    for key, value in sorted((obj.get("data") or {}).items()):
        for line in (f"{key}:", "----", *value.split("\n"), ""):
            out.line(0, line)
    out.line(0, "")
    out.line(0, "BinaryData")
    out.line(0, "====")
    for key, value in sorted((obj.get("binaryData") or {}).items()):
        out.field(key, f"{len(base64.b64decode(value))} bytes")
    out.line(0, "")


def write_secret(out: Writer, obj: Object, related: Object) -> None:
    """Sizes only: a description is shown to people, a secret is not."""
    head(out, obj)
    labels(out, obj)
    out.line(0, "")
    out.field("Type", obj.get("type", ""))
    out.line(0, "")
    out.line(0, "Data")
    out.line(0, "====")
    for key, value in sorted((obj.get("data") or {}).items()):
        out.field(key, f"{len(base64.b64decode(value))} bytes")


def write_service_account(out: Writer, obj: Object, related: Object) -> None:
    head(out, obj)
    labels(out, obj)
    out.lines("Image pull secrets", [secret["name"] for secret in obj.get("imagePullSecrets") or ()])


def write_namespace(out: Writer, obj: Object, related: Object) -> None:
    head(out, obj, namespaced=False)
    labels(out, obj)
    out.field("Status", (obj.get("status") or {}).get("phase", ""))
    out.line(0, "")
    out.line(0, "No resource quota.")
    out.line(0, "")
    out.line(0, "No LimitRange resource.")


def write_generic(out: Writer, obj: Object, related: Object) -> None:
    """Every field, its name taken apart: `creationTimestamp` is `Creation Timestamp`."""
    metadata = obj["metadata"]
    head(out, obj)
    labels(out, obj)
    shown = {key: value for key, value in metadata.items() if key not in _SAID}
    _write_tree(out, {**obj, "metadata": shown}, 0)


_SAID = ("name", "namespace", "labels", "annotations", "managedFields")
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z]+|[^A-Za-z0-9]+")
_ABBREVIATIONS = {"api": "API", "uid": "UID", "url": "URL", "ip": "IP", "urls": "URLs", "ips": "IPs", "id": "ID"}


def title_of(key: str) -> str:
    for word in ("URLs", "IPs", "UIDs", "IDs"):
        key = key.replace(word, word.capitalize())
    return " ".join(_ABBREVIATIONS.get(word.lower(), word[:1].upper() + word[1:]) for word in _WORD.findall(key))


def _write_tree(out: Writer, value: Object, level: int) -> None:
    for key, inner in sorted(value.items()):
        title = title_of(key)
        if isinstance(inner, dict):
            out.line(level, f"{title}:")
            _write_tree(out, inner, level + 1)
        elif isinstance(inner, list):
            out.line(level, f"{title}:")
            for item in inner:
                if isinstance(item, dict):
                    _write_tree(out, item, level + 1)
                else:
                    out.line(level + 1, item)
        else:
            out.field(title, str(inner).lower() if isinstance(inner, bool) else "" if inner is None else inner, level)
