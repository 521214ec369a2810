"""What an object uses of a quota, by kind. Pure; the quota controller counts with the same functions.

Every kind can be counted as ``count/<resource>.<group>``; a few have older names, and pods, claims and services are
measured too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from apiserver.admission.pod_resources import Amounts, container_amounts, is_best_effort, pod_amounts
from machinery.meta.quantity import Quantity, parse_quantity

Object = dict[str, Any]

_ONE = Quantity.of(1)

_OLD_NAMES = frozenset(
    {
        "configmaps", "persistentvolumeclaims", "pods", "replicationcontrollers", "resourcequotas", "secrets",
        "services",
    }
)  # fmt: skip
_STORAGE_CLASS = ".storageclass.storage.k8s.io/"
_DEVICE_CLASS = ".deviceclass.resource.k8s.io/"
_POD_RESOURCES = frozenset(
    {
        "pods", "count/pods", "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory",
        "requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage",
    }
)  # fmt: skip
# What every container must say when the quota limits it.
_MUST_SAY = frozenset({"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"})


def usage(group: str, resource: str, obj: Object) -> Amounts:
    count = f"count/{resource}.{group}" if group else f"count/{resource}"
    used: Amounts = {count: _ONE}
    if not group and resource in _OLD_NAMES:
        used[resource] = _ONE
    match (group, resource):
        case ("", "pods"):
            used |= _pod_usage(obj)
        case ("", "services"):
            used |= _service_usage(obj)
        case ("", "persistentvolumeclaims"):
            used |= _claim_usage(obj)
        case ("resource.k8s.io", "resourceclaims"):
            used |= _device_usage(obj)
    return used


def counts_resource(group: str, resource: str, name: str) -> bool:
    """Whether a quota's resource is one that objects of this kind can use."""
    if name == (f"count/{resource}.{group}" if group else f"count/{resource}"):
        return True
    match (group, resource):
        case ("", "pods"):
            return name in _POD_RESOURCES or name.startswith(("hugepages-", "requests.hugepages-")) or _extended(name)
        case ("", "services"):
            return name in ("services", "services.nodeports", "services.loadbalancers")
        case ("", "persistentvolumeclaims"):
            return name in ("persistentvolumeclaims", "requests.storage") or _STORAGE_CLASS in name
        case ("resource.k8s.io", "resourceclaims"):
            return _DEVICE_CLASS in name
    return not group and resource in _OLD_NAMES and name == resource


def missing_for(group: str, resource: str, obj: Object, limited: Iterable[str]) -> str | None:
    """What a pod's containers must say because the quota limits it, or None."""
    if (group, resource) != ("", "pods"):
        return None
    required = _MUST_SAY & set(limited)
    if not required:
        return None
    missing: dict[str, list[str]] = {}
    spec = obj["spec"]
    pod_level = _named(container_amounts(spec, "requests"), container_amounts(spec, "limits"))
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        said = _named(container_amounts(container, "requests"), container_amounts(container, "limits"))
        for name in required - said.keys() - pod_level.keys():
            missing.setdefault(name, []).append(container["name"])
    if not missing:
        return None
    return "must specify " + "; ".join(f"{name} for: {','.join(sorted(missing[name]))}" for name in sorted(missing))


def matches_scopes(quota: Object, group: str, resource: str, obj: Object) -> bool:
    spec = quota.get("spec") or {}
    wanted = [{"scopeName": scope, "operator": "Exists"} for scope in spec.get("scopes") or ()]
    wanted += (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    if not wanted:
        return True
    if (group, resource) == ("", "pods"):
        return all(_pod_in_scope(term, obj) for term in wanted)
    if (group, resource) == ("", "persistentvolumeclaims"):
        value = (obj.get("spec") or {}).get("volumeAttributesClassName")
        return all(term["scopeName"] == "VolumeAttributesClass" and _selects(term, value) for term in wanted)
    return False


def _pod_in_scope(term: Object, pod: Object) -> bool:
    spec = pod["spec"]
    match term["scopeName"]:
        case "Terminating":
            return spec.get("activeDeadlineSeconds") is not None
        case "NotTerminating":
            return spec.get("activeDeadlineSeconds") is None
        case "BestEffort":
            return is_best_effort(pod)
        case "NotBestEffort":
            return not is_best_effort(pod)
        case "PriorityClass":
            return _selects(term, spec.get("priorityClassName"))
        case "CrossNamespacePodAffinity":
            return _affinity_crosses(spec.get("affinity") or {})
    return False


def _selects(term: Object, value: str | None) -> bool:
    match term.get("operator"):
        case "In":
            return value is not None and value in (term.get("values") or ())
        case "NotIn":
            return value not in (term.get("values") or ())
        case "Exists":
            return bool(value)
        case "DoesNotExist":
            return not value
    return False


def _affinity_crosses(affinity: Object) -> bool:
    for kind in ("podAffinity", "podAntiAffinity"):
        terms = affinity.get(kind) or {}
        required = terms.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
        preferred = terms.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        for term in (*required, *(item.get("podAffinityTerm") or {} for item in preferred)):
            if term.get("namespaces") or term.get("namespaceSelector") is not None:
                return True
    return False


def _pod_usage(pod: Object) -> Amounts:
    if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return {"pods": Quantity(0)}  # it no longer runs, but it is still there to be counted
    requests = pod_amounts(pod, "requests", overhead=True)
    return _named(requests, pod_amounts(pod, "limits", overhead=True))


def _named(requests: Amounts, limits: Amounts) -> Amounts:
    used: Amounts = {}
    for name, amount in requests.items():
        used[f"requests.{name}"] = amount
        if name in ("cpu", "memory", "ephemeral-storage") or name.startswith("hugepages-"):
            used[name] = amount
    for name, amount in limits.items():
        if name in ("cpu", "memory", "ephemeral-storage"):
            used[f"limits.{name}"] = amount
    return used


def _extended(name: str) -> bool:
    rest = name.removeprefix("requests.")
    return rest != name and "/" in rest and _STORAGE_CLASS not in name


def _service_usage(service: Object) -> Amounts:
    spec = service.get("spec") or {}
    ports = spec.get("ports") or ()
    node_ports, balancers = 0, 0
    if spec.get("type") == "NodePort":
        node_ports = len(ports)
    elif spec.get("type") == "LoadBalancer":
        balancers = 1
        if spec.get("allocateLoadBalancerNodePorts") is False:
            node_ports = sum(1 for port in ports if port.get("nodePort"))
        else:
            node_ports = len(ports)
    return {"services.nodeports": Quantity.of(node_ports), "services.loadbalancers": Quantity.of(balancers)}


def _claim_usage(claim: Object) -> Amounts:
    spec = claim.get("spec") or {}
    storage_class = spec.get("storageClassName") or (claim["metadata"].get("annotations") or {}).get(
        "volume.beta.kubernetes.io/storage-class", ""
    )
    used: Amounts = {}
    if storage_class:
        used[f"{storage_class}{_STORAGE_CLASS}persistentvolumeclaims"] = _ONE
    size = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if size is not None:
        used["requests.storage"] = parse_quantity(size)
        if storage_class:
            used[f"{storage_class}{_STORAGE_CLASS}requests.storage"] = parse_quantity(size)
    return used


def _device_usage(claim: Object) -> Amounts:
    used: Amounts = {}
    for request in ((claim.get("spec") or {}).get("devices") or {}).get("requests") or ():
        options = request.get("firstAvailable") or [request.get("exactly") or {}]
        for name in {option.get("deviceClassName") for option in options} - {None, ""}:
            wanted = max(int(option.get("count") or 1) for option in options if option.get("deviceClassName") == name)
            key = f"{name}{_DEVICE_CLASS}devices"
            used[key] = used.get(key, Quantity(0)) + Quantity.of(wanted)
    return used
