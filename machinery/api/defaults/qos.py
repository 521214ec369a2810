"""The quality of service of a pod, from what its containers ask for. Pure."""

from __future__ import annotations

from typing import Any

from machinery.meta.quantity import Quantity, parse_quantity

_COMPUTE = ("cpu", "memory")


def compute_qos_class(pod: dict[str, Any]) -> str:
    """Guaranteed when cpu and memory are limited everywhere and asked for in full; BestEffort when nothing is asked
    for; Burstable between. A pod that sets resources as a whole is judged by those alone."""
    spec = pod.get("spec") or {}
    whole = spec.get("resources") or {}
    if _asked(whole.get("requests")) or _asked(whole.get("limits")):
        owners = [whole]
    else:
        owners = [
            container.get("resources") or {}
            for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()))
        ]
    requests: dict[str, Quantity] = {}
    limits: dict[str, Quantity] = {}
    guaranteed = True
    for resources in owners:
        limited = _asked(resources.get("limits"))
        _add(requests, _asked(resources.get("requests")))
        _add(limits, limited)
        guaranteed = guaranteed and len(limited) == len(_COMPUTE)
    if not requests and not limits:
        return "BestEffort"
    if guaranteed and all(limits.get(name) == amount for name, amount in requests.items()):
        if len(requests) == len(limits):
            return "Guaranteed"
    return "Burstable"


def _asked(amounts: dict[str, Any] | None) -> dict[str, Quantity]:
    """The positive amounts of cpu and memory."""
    found = {name: parse_quantity((amounts or {})[name]) for name in _COMPUTE if name in (amounts or {})}
    return {name: amount for name, amount in found.items() if amount.sign() > 0}


def _add(total: dict[str, Quantity], amounts: dict[str, Quantity]) -> None:
    for name, amount in amounts.items():
        total[name] = total[name] + amount if name in total else amount
