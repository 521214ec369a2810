"""What a pod asks for, as numbers: CPU in milli-cores, memory and storage in bytes, the rest in whole units.

The rule of upstream (``resourcehelper.PodRequests``): containers add up; a restartable init container (sidecar) stays
and adds to everything after it; an ordinary init container counts alone beside the sidecars started before it; the
larger of the two phases wins; pod-level resources replace cpu, memory and hugepages; overhead is added.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from machinery.meta.quantity import parse_quantity

Resources = dict[str, int]

#: What the scoring (never the fitting) assumes for a container that asks for nothing.
DEFAULT_MILLI_CPU = 100
DEFAULT_MEMORY = 200 * 1024 * 1024


def parse_resources(quantities: Mapping[str, Any] | None) -> Resources:
    """``{"cpu": "500m"}`` -> ``{"cpu": 500}``."""
    out: Resources = {}
    for name, text in (quantities or {}).items():
        quantity = parse_quantity(text)
        out[name] = quantity.milli_value() if name == "cpu" else quantity.value()
    return out


def _add(total: Resources, more: Resources) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def _raise(total: Resources, floor: Resources) -> None:
    for name, amount in floor.items():
        if amount > total.get(name, 0):
            total[name] = amount


def _requests_of(container: Mapping[str, Any], *, non_zero: bool) -> Resources:
    asked = parse_resources((container.get("resources") or {}).get("requests"))
    if non_zero:
        asked.setdefault("cpu", DEFAULT_MILLI_CPU)
        asked.setdefault("memory", DEFAULT_MEMORY)
    return asked


def pod_requests(spec: Mapping[str, Any], *, non_zero: bool = False) -> Resources:
    """The requests of a pod spec; ``non_zero`` assumes the scoring defaults for containers without requests."""
    total: Resources = {}
    for container in spec.get("containers") or ():
        _add(total, _requests_of(container, non_zero=non_zero))
    sidecars: Resources = {}
    peak: Resources = {}
    for container in spec.get("initContainers") or ():
        asked = _requests_of(container, non_zero=non_zero)
        if container.get("restartPolicy") == "Always":
            _add(total, asked)
            _add(sidecars, asked)
            _raise(peak, sidecars)
        else:
            step = dict(sidecars)
            _add(step, asked)
            _raise(peak, step)
    _raise(total, peak)
    pod_level = parse_resources((spec.get("resources") or {}).get("requests"))
    total.update({name: pod_level[name] for name in pod_level if name in ("cpu", "memory") or "hugepages" in name})
    _add(total, parse_resources(spec.get("overhead")))
    return total
