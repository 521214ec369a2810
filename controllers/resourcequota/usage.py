"""What objects use of a ResourceQuota: pods by their requests and limits, others by number and size. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from controllers.pods import is_pod_finished
from machinery.meta.quantity import Quantity, parse_quantity

Object = dict[str, Any]
Usage = dict[str, Quantity]

BARE_REQUESTS = ("cpu", "memory", "ephemeral-storage")


def add(total: Usage, more: Usage) -> None:
    for name, amount in more.items():
        total[name] = total[name] + amount if name in total else amount


def _maximum(left: Usage, right: Usage) -> Usage:
    names = {**left, **right}
    return {name: max(usage[name] for usage in (left, right) if name in usage) for name in names}


def _resources(container: Object, field: str) -> Usage:
    found = (container.get("resources") or {}).get(field) or {}
    return {name: parse_quantity(amount) for name, amount in found.items()}


def pod_total(pod: Object, field: str) -> Usage:
    """Requests or limits of a whole pod: what runs together adds up, init containers count by their peak."""
    spec = pod["spec"]
    running: Usage = {}
    for container in spec.get("containers") or ():
        add(running, _resources(container, field))
    sidecars: Usage = {}
    peak: Usage = {}
    for container in spec.get("initContainers") or ():
        own = _resources(container, field)
        if container.get("restartPolicy") == "Always":
            add(sidecars, own)
            own = dict(sidecars)
        else:
            add(own, sidecars)
        peak = _maximum(peak, own)
    add(running, sidecars)
    total = _maximum(running, peak)
    whole = (spec.get("resources") or {}).get(field) or {}
    total |= {name: parse_quantity(amount) for name, amount in whole.items()}
    overhead = {name: parse_quantity(amount) for name, amount in (spec.get("overhead") or {}).items()}
    if field == "requests":
        add(total, overhead)
    else:
        add(total, {name: amount for name, amount in overhead.items() if name in total})
    return total


def pod_usage(pod: Object) -> Usage:
    if is_pod_finished(pod):
        return {"count/pods": Quantity.of(1)}
    usage: Usage = {"pods": Quantity.of(1), "count/pods": Quantity.of(1)}
    for name, amount in pod_total(pod, "requests").items():
        usage[f"requests.{name}"] = amount
        if name in BARE_REQUESTS or name.startswith("hugepages-"):
            usage[name] = amount
    for name, amount in pod_total(pod, "limits").items():
        usage[f"limits.{name}"] = amount
    return usage


def service_usage(service: Object) -> Usage:
    spec = service["spec"]
    usage: Usage = {"services": Quantity.of(1)}
    kind, ports = spec.get("type", "ClusterIP"), len(spec.get("ports") or ())
    if kind == "NodePort":
        usage["services.nodeports"] = Quantity.of(ports)
    elif kind == "LoadBalancer":
        usage["services.loadbalancers"] = Quantity.of(1)
        if spec.get("allocateLoadBalancerNodePorts", True):
            usage["services.nodeports"] = Quantity.of(ports)
        else:
            taken = sum(1 for port in spec.get("ports") or () if port.get("nodePort"))
            usage["services.nodeports"] = Quantity.of(taken)
    return usage


def claim_usage(claim: Object) -> Usage:
    usage: Usage = {"persistentvolumeclaims": Quantity.of(1)}
    storage = ((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage")
    storage_class = claim["spec"].get("storageClassName")
    prefix = f"{storage_class}.storageclass.storage.k8s.io/" if storage_class else ""
    if storage is not None:
        usage["requests.storage"] = parse_quantity(storage)
    if prefix:
        usage[f"{prefix}persistentvolumeclaims"] = Quantity.of(1)
        if storage is not None:
            usage[f"{prefix}requests.storage"] = parse_quantity(storage)
    return usage


# --- scopes -------------------------------------------------------------------------------------------------------


def is_best_effort(pod: Object) -> bool:
    """Neither requests nor limits of cpu or memory anywhere."""
    containers = [*(pod["spec"].get("containers") or ()), *(pod["spec"].get("initContainers") or ())]
    return not any(
        name in ("cpu", "memory")
        for container in containers for field in ("requests", "limits") for name in _resources(container, field)
    )  # fmt: skip


def matches_scope(pod: Object, scope: str, operator: str = "Exists", values: Iterable[str] = ()) -> bool:
    spec = pod["spec"]
    if scope in ("Terminating", "NotTerminating"):
        return (spec.get("activeDeadlineSeconds") is not None) == (scope == "Terminating")
    if scope in ("BestEffort", "NotBestEffort"):
        return is_best_effort(pod) == (scope == "BestEffort")
    if scope == "PriorityClass":
        name = spec.get("priorityClassName") or ""
        wanted = set(values)
        return {
            "Exists": bool(name), "DoesNotExist": not name, "In": name in wanted, "NotIn": name not in wanted,
        }.get(operator, False)  # fmt: skip
    if scope == "CrossNamespacePodAffinity":
        affinity = spec.get("affinity") or {}
        terms: list[Object] = []
        for field in ("podAffinity", "podAntiAffinity"):
            half = affinity.get(field) or {}
            terms += half.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
            preferred = half.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
            terms += [item["podAffinityTerm"] for item in preferred]
        return any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms)
    return False


def in_scope(quota: Object, pod: Object) -> bool:
    spec = quota["spec"]
    if not all(matches_scope(pod, scope) for scope in spec.get("scopes") or ()):
        return False
    return all(
        matches_scope(pod, item["scopeName"], item["operator"], item.get("values") or ())
        for item in (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    )


def has_scopes(quota: Object) -> bool:
    spec = quota["spec"]
    return bool(spec.get("scopes") or (spec.get("scopeSelector") or {}).get("matchExpressions"))
