"""Requests and limits as the kernel's numbers, and the order in which the kernel kills when memory ends."""

from __future__ import annotations

from typing import Any

from kubelet.podspec import ContainerSpec, Pod, app_containers, init_containers, is_sidecar, qos_class
from machinery.meta.quantity import parse_quantity
from proto import cri_pb2 as cri

MIN_SHARES, MAX_SHARES = 2, 262144
PERIOD = 100_000
MIN_QUOTA = 1000

GUARANTEED_OOM, BEST_EFFORT_OOM = -997, 1000
CRITICAL_PRIORITY = 2_000_000_000


def cpu_shares(milli_cpu: int) -> int:
    """cpu.shares for a request; no request weighs least."""
    return min(max(milli_cpu * 1024 // 1000, MIN_SHARES), MAX_SHARES)


def cpu_quota(milli_cpu: int) -> int:
    """Microseconds of CPU each period; 0 is no limit."""
    return 0 if milli_cpu == 0 else max(milli_cpu * PERIOD // 1000, MIN_QUOTA)


def milli(amount: Any) -> int:
    return parse_quantity(amount).milli_value() if amount is not None else 0


def number(amount: Any) -> int:
    return parse_quantity(amount).value() if amount is not None else 0


def linux_resources(pod: Pod, spec: ContainerSpec, memory_capacity: int) -> cri.LinuxContainerResources:
    resources = spec.get("resources") or {}
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    request = requests.get("cpu", limits.get("cpu"))
    return cri.LinuxContainerResources(
        cpu_shares=cpu_shares(milli(request)),
        cpu_quota=cpu_quota(milli(limits.get("cpu"))),
        cpu_period=PERIOD,
        memory_limit_in_bytes=number(limits.get("memory")),
        oom_score_adj=oom_score_adjust(pod, spec, memory_capacity),
        hugepage_limits=[
            cri.HugepageLimit(page_size=_page_size(name), limit=number(limits[name]))
            for name in sorted(limits)
            if name.startswith("hugepages-")
        ],
    )


def _page_size(resource: str) -> str:
    return resource.removeprefix("hugepages-").removesuffix("i") + "B"


def oom_score_adjust(pod: Pod, spec: ContainerSpec, memory_capacity: int) -> int:
    if int(pod["spec"].get("priority") or 0) >= CRITICAL_PRIORITY:
        return GUARANTEED_OOM
    match qos_class(pod):
        case "Guaranteed":
            return GUARANTEED_OOM
        case "BestEffort":
            return BEST_EFFORT_OOM
    request = number(((spec.get("resources") or {}).get("requests") or {}).get("memory"))
    adjust = BEST_EFFORT_OOM - BEST_EFFORT_OOM * request // max(memory_capacity, 1)
    return min(max(adjust, BEST_EFFORT_OOM + GUARANTEED_OOM), BEST_EFFORT_OOM - 1)


def pod_requests(pod: Pod, kind: str = "requests") -> dict[str, int]:
    """What the pod needs at its highest: containers together with sidecars, or an init container before them.

    CPU in thousandths, everything else in units. ``kind`` may be ``limits``.
    """
    running: dict[str, int] = {}
    highest: dict[str, int] = {}
    for spec in init_containers(pod):
        own = _amounts(spec, kind)
        if is_sidecar(spec):
            _add(running, own)
            _raise(highest, running)
        else:
            together = dict(running)
            _add(together, own)
            _raise(highest, together)
    for spec in app_containers(pod):
        _add(running, _amounts(spec, kind))
    _raise(highest, running)
    pod_level = ((pod["spec"].get("resources") or {}).get(kind)) or {}
    highest |= {name: milli(v) if name == "cpu" else number(v) for name, v in pod_level.items()}
    overhead = pod["spec"].get("overhead") or {}
    _add(highest, {name: milli(v) if name == "cpu" else number(v) for name, v in overhead.items()})
    return highest


def _amounts(spec: ContainerSpec, kind: str) -> dict[str, int]:
    found = ((spec.get("resources") or {}).get(kind)) or {}
    return {name: milli(value) if name == "cpu" else number(value) for name, value in found.items()}


def _add(total: dict[str, int], more: dict[str, int]) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


def _raise(total: dict[str, int], other: dict[str, int]) -> None:
    for name, value in other.items():
        total[name] = max(total.get(name, 0), value)
