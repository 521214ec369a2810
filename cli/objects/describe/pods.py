"""Pods and pod templates."""

from __future__ import annotations

from typing import Any

from cli.objects.describe.containers import write_containers, write_volumes
from cli.objects.describe.writer import NONE, Writer, head, labels, shown_time
from machinery.meta.objects import controller_of

Object = dict[str, Any]


def write_pod(out: Writer, pod: Object, related: Object) -> None:
    spec, status, metadata = pod["spec"], pod.get("status") or {}, pod["metadata"]
    head(out, pod)
    if spec.get("priority") is not None:
        out.field("Priority", spec["priority"])
    for name, key in (("Priority Class Name", "priorityClassName"), ("Runtime Class Name", "runtimeClassName"),
                      ("Service Account", "serviceAccountName")):  # fmt: skip
        if spec.get(key):
            out.field(name, spec[key])
    node = spec.get("nodeName")
    out.field("Node", f"{node}/{status.get('hostIP', '')}" if node else NONE)
    if status.get("startTime"):
        out.field("Start Time", shown_time(status["startTime"]))
    labels(out, pod)
    if metadata.get("deletionTimestamp"):
        out.field("Status", f"Terminating (lasts {metadata.get('deletionGracePeriodSeconds', 0)}s)")
        out.field("Termination Grace Period", f"{metadata.get('deletionGracePeriodSeconds', 0)}s")
    else:
        out.field("Status", status.get("phase", ""))
    for name in ("reason", "message"):
        if status.get(name):
            out.field(name.capitalize(), status[name])
    out.field("IP", status.get("podIP", ""))
    addresses = status.get("podIPs") or []
    if addresses:
        out.line(0, "IPs:")
        for address in addresses:
            out.field("IP", address["ip"], 1)
    else:
        out.field("IPs", NONE)
    owner = controller_of(pod)
    if owner:
        out.field("Controlled By", f"{owner['kind']}/{owner['name']}")
    if spec.get("initContainers"):
        statuses = status.get("initContainerStatuses") or []
        write_containers(out, "Init Containers", spec["initContainers"], statuses, 0, pod)
    write_containers(out, "Containers", spec["containers"], status.get("containerStatuses") or [], 0, pod)
    if spec.get("readinessGates"):
        out.line(0, "Readiness Gates:")
        for gate in spec["readinessGates"]:
            out.line(1, gate["conditionType"])
    if status.get("conditions"):
        out.line(0, "Conditions:")
        out.line(1, "Type", "Status")
        for condition in status["conditions"]:
            out.line(1, f"{condition['type']} ", f"{condition['status']} ")
    write_volumes(out, spec.get("volumes") or [], 0)
    out.field("QoS Class", status.get("qosClass", ""))
    write_placement(out, spec, 0)


def write_placement(out: Writer, spec: Object, level: int) -> None:
    out.mapping("Node-Selectors", spec.get("nodeSelector"), level)
    out.lines("Tolerations", [toleration_text(t) for t in spec.get("tolerations") or ()], level)


def toleration_text(toleration: Object) -> str:
    text: str = toleration.get("key", "")
    if toleration.get("value"):
        text += f"={toleration['value']}"
    if toleration.get("effect"):
        text += f":{toleration['effect']}"
    if toleration.get("operator") == "Exists" and not toleration.get("value"):
        text = f"{text} op=Exists" if text else "op=Exists"
    if toleration.get("tolerationSeconds") is not None:
        text += f" for {toleration['tolerationSeconds']}s"
    return text


def write_template(out: Writer, template: Object, level: int = 0) -> None:
    out.line(level, "Pod Template:")
    metadata, spec = template.get("metadata") or {}, template["spec"]
    out.mapping("Labels", metadata.get("labels"), level + 1)
    if metadata.get("annotations"):
        out.mapping("Annotations", metadata["annotations"], level + 1, separator=": ")
    if spec.get("serviceAccountName"):
        out.field("Service Account", spec["serviceAccountName"], level + 1)
    if spec.get("initContainers"):
        write_containers(out, "Init Containers", spec["initContainers"], [], level + 1)
    write_containers(out, "Containers", spec["containers"], [], level + 1)
    write_volumes(out, spec.get("volumes") or [], level + 1)
    if spec.get("priorityClassName"):
        out.field("Priority Class Name", spec["priorityClassName"], level + 1)
    write_placement(out, spec, level + 1)
