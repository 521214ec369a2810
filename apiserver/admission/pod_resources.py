"""What a pod asks for and is limited to as a whole. Pure; for limit ranges and quota.

Containers and sidecars run together and add up. An init container runs alone beside the sidecars that were started
before it, so of these moments the largest counts. Resources given for the pod as a whole replace the sums.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from machinery.meta.quantity import Quantity, parse_quantity

Object = dict[str, Any]
Amounts = dict[str, Quantity]
Which = Literal["requests", "limits"]


def container_amounts(container: Object, which: Which) -> Amounts:
    resources = container.get("resources") or {}
    return {name: parse_quantity(value) for name, value in (resources.get(which) or {}).items()}


def pod_amounts(pod: Object, which: Which, *, overhead: bool = False) -> Amounts:
    spec = pod["spec"]
    total: Amounts = {}
    for container in spec.get("containers") or ():
        add(total, container_amounts(container, which))
    sidecars: Amounts = {}
    largest: Amounts = {}
    for container in spec.get("initContainers") or ():
        own = container_amounts(container, which)
        if container.get("restartPolicy") == "Always":
            add(total, own)
            add(sidecars, own)
            moment = dict(sidecars)
        else:
            moment = dict(sidecars)
            add(moment, own)
        take_larger(largest, moment)
    take_larger(total, largest)
    for name, value in ((spec.get("resources") or {}).get(which) or {}).items():
        total[name] = parse_quantity(value)
    if overhead:
        for name, value in (spec.get("overhead") or {}).items():
            # A limit that is not set stays unset: overhead does not make one.
            if which == "requests" or name in total:
                add(total, {name: parse_quantity(value)})
    return total


def add(total: Amounts, more: Amounts) -> None:
    for name, amount in more.items():
        total[name] = total[name] + amount if name in total else amount


def take_larger(total: Amounts, other: Amounts) -> None:
    for name, amount in other.items():
        if name not in total or total[name] < amount:
            total[name] = amount


def is_best_effort(pod: Object) -> bool:
    """No container asks for or is limited in CPU or memory."""
    spec = pod["spec"]
    parts: Iterable[Object] = (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()), spec)
    return not any(
        not amount.is_zero()
        for part in parts
        for which in ("requests", "limits")
        for name, amount in container_amounts(part, which).items()
        if name in ("cpu", "memory")
    )
