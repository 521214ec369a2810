"""The status of a ResourceQuota: what is allowed, what is used. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controllers.resourcequota.usage import Usage, add, claim_usage, has_scopes, in_scope, pod_usage, service_usage
from machinery.meta.quantity import Quantity, canonical_quantity, parse_quantity

Object = dict[str, Any]

#: Quota names without a group that count objects of the core group.
CORE_COUNTS = ("configmaps", "secrets", "replicationcontrollers", "resourcequotas", "services",
               "persistentvolumeclaims", "pods")  # fmt: skip


def counted_resource(name: str) -> str | None:
    """``count/deployments.apps`` -> ``deployments.apps``, ``secrets`` -> itself; None when it counts no objects."""
    if name.startswith("count/"):
        return name.removeprefix("count/")
    return name if name in CORE_COUNTS[:4] else None


def is_claim_resource(name: str) -> bool:
    return name in ("persistentvolumeclaims", "requests.storage") or ".storageclass.storage.k8s.io/" in name


def is_service_resource(name: str) -> bool:
    return name == "services" or name.startswith("services.")


def lowers_usage(old: Object, new: Object) -> bool:
    """Whether the new status gives something back."""
    before, after = old.get("used") or {}, new.get("used") or {}
    return any(
        name in after and parse_quantity(after[name]) < parse_quantity(amount) for name, amount in before.items()
    )


def compute_status(
    quota: Object, pods: Sequence[Object], services: Sequence[Object], claims: Sequence[Object],
    counts: Mapping[str, int],
) -> Object:
    """``counts``: numbers of objects by ``resource.group``, for the ``count/…`` names."""
    hard = quota["spec"].get("hard") or {}
    usage: Usage = {}
    for pod in pods:
        if in_scope(quota, pod):
            add(usage, pod_usage(pod))
    if not has_scopes(quota):
        for service in services:
            add(usage, service_usage(service))
        for claim in claims:
            add(usage, claim_usage(claim))
        for name in hard:
            resource = counted_resource(name)
            if resource is not None and name != "count/pods" and resource in counts:
                usage[name] = Quantity.of(counts[resource])
    zero = Quantity.of(0)
    return {
        "hard": {name: canonical_quantity(amount) for name, amount in hard.items()},
        "used": {name: str(usage.get(name, zero)) for name in hard},
    }
