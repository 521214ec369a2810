"""What Endpoints and EndpointSlices both ask: which pods back a Service, at which port, and how. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from controllers.pods import is_pod_finished
from machinery.meta.conditions import get_condition, is_pod_ready
from machinery.meta.objects import is_terminating, labels_of

Object = dict[str, Any]

TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time"
HEADLESS_LABEL = "service.kubernetes.io/headless"


def selects(service: Object, pod: Object) -> bool:
    selector = service["spec"].get("selector")
    return bool(selector) and selector.items() <= labels_of(pod).items()


def pod_ips(pod: Object) -> list[str]:
    status = pod.get("status", {})
    ips = [item["ip"] for item in status.get("podIPs") or () if item.get("ip")]
    return ips or ([status["podIP"]] if status.get("podIP") else [])


def ip_of_family(pod: Object, family: str) -> str | None:
    for ip in pod_ips(pod):
        if (":" in ip) == (family == "IPv6"):
            return ip
    return None


def may_back(pod: Object, *, include_terminating: bool) -> bool:
    if is_pod_finished(pod) or not pod_ips(pod):
        return False
    return include_terminating or not is_terminating(pod)


def find_port(pod: Object, port: Object) -> int | None:
    """The container port of a Service port; a name may stand for another number in each pod."""
    target = port.get("targetPort")
    if isinstance(target, int) and target:
        return target
    if target is None or target in (0, ""):
        return int(port["port"])
    protocol = port.get("protocol") or "TCP"
    spec = pod["spec"]
    sidecars = [item for item in spec.get("initContainers") or () if item.get("restartPolicy") == "Always"]
    for container in [*(spec.get("containers") or ()), *sidecars]:
        for candidate in container.get("ports") or ():
            if candidate.get("name") == target and (candidate.get("protocol") or "TCP") == protocol:
                return int(candidate["containerPort"])
    return None


def hostname_for(pod: Object, service: Object) -> str | None:
    """Pods name themselves in the Service that is their subdomain."""
    spec = pod["spec"]
    if spec.get("hostname") and spec.get("subdomain") == service["metadata"]["name"]:
        return str(spec["hostname"])
    return None


def target_reference(pod: Object) -> Object:
    meta = pod["metadata"]
    return {"kind": "Pod", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]}


def is_headless(service: Object) -> bool:
    return bool(service["spec"].get("clusterIP") == "None")


def is_external_name(service: Object) -> bool:
    return bool(service["spec"].get("type") == "ExternalName")


def last_change(service: Object, pods: Iterable[Object]) -> str | None:
    """When the newest of the facts behind a set of endpoints came about (for latency measurements)."""
    times: list[str] = []
    if service["metadata"].get("creationTimestamp"):
        times.append(service["metadata"]["creationTimestamp"])
    for pod in pods:
        condition = get_condition(pod.get("status", {}).get("conditions"), "Ready")
        if condition is not None and condition.get("lastTransitionTime"):
            times.append(condition["lastTransitionTime"])
    return max(times, default=None)


def backing_facts(pod: Object) -> Sequence[Any]:
    """Everything of a pod that endpoints depend on: an update that keeps these concerns no Service."""
    spec, meta = pod["spec"], pod["metadata"]
    return (
        meta.get("labels"), meta.get("deletionTimestamp"), is_pod_finished(pod), is_pod_ready(pod), pod_ips(pod),
        spec.get("nodeName"), spec.get("hostname"), spec.get("subdomain"),
    )  # fmt: skip
