"""Statistics of the node and its pods: the Summary (``/stats/summary``) and the resource metrics that ``top`` needs.

CPU rates need two readings. The runtime gives counters; the rate is over the time between the last two readings of a
container, at most one reading per ``MIN_INTERVAL_SECONDS`` so that two curious clients do not shorten the window.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kubelet.cri import names
from kubelet.cri.client import Runtime

Object = dict[str, Any]
MIN_INTERVAL_SECONDS = 1.0


@dataclass(slots=True)
class _Reading:
    at_ns: int
    cpu_ns: int
    rate: int = 0


class CpuRates:
    """Turns counters into nano-cores per key."""

    def __init__(self) -> None:
        self._last: dict[str, _Reading] = {}

    def rate(self, key: str, at_ns: int, cpu_ns: int) -> int:
        """Nano-cores used since the previous reading of ``key``; 0 for the first."""
        last = self._last.get(key)
        if last is None or cpu_ns < last.cpu_ns:
            self._last[key] = _Reading(at_ns, cpu_ns)
            return 0
        elapsed = at_ns - last.at_ns
        if elapsed < MIN_INTERVAL_SECONDS * 1e9 and last.rate:
            return last.rate
        if elapsed <= 0:
            return last.rate
        rate = (cpu_ns - last.cpu_ns) * 1_000_000_000 // elapsed
        self._last[key] = _Reading(at_ns, cpu_ns, rate)
        return rate

    def forget_others(self, keys: Iterable[str]) -> None:
        kept = set(keys)
        for key in [key for key in self._last if key not in kept]:
            del self._last[key]


@dataclass(frozen=True, slots=True)
class Usage:
    """One container (or the node) at one instant."""

    at: str
    cpu_nano_cores: int
    cpu_nano_seconds: int
    memory_bytes: int
    working_set_bytes: int


def _stamp(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Statistics:
    """Reads usage from the runtime and the machine."""

    def __init__(self, runtime: Runtime, node_name: str, started_at: str) -> None:
        self._runtime, self._node_name, self._started_at = runtime, node_name, started_at
        self._rates = CpuRates()

    async def pods(self) -> dict[tuple[str, str, str], dict[str, Usage]]:
        """(namespace, pod, uid) -> container -> usage."""
        out: dict[tuple[str, str, str], dict[str, Usage]] = {}
        seen = []
        for each in await self._runtime.list_container_stats():
            if not each.cpu.timestamp or not each.memory.timestamp:
                continue  # it has ended: there is nothing to measure
            labels: Mapping[str, str] = each.attributes.labels
            pod = (
                labels.get(names.POD_NAMESPACE, ""), labels.get(names.POD_NAME, ""),
                labels.get(names.POD_UID, ""),
            )  # fmt: skip
            key = each.attributes.id
            seen.append(key)
            cpu = each.cpu.usage_core_nano_seconds.value
            rate = self._rates.rate(key, each.cpu.timestamp, cpu)
            memory = each.memory.working_set_bytes.value
            container = labels.get(names.CONTAINER_NAME, "")
            out.setdefault(pod, {})[container] = Usage(_stamp(each.cpu.timestamp), rate, cpu, memory, memory)
        self._rates.forget_others([*seen, "node"])
        return out

    def node(self, now: datetime) -> Usage:
        """The whole machine, from /proc."""
        with open("/proc/stat", encoding="ascii") as stat:
            fields = [int(number) for number in stat.readline().split()[1:]]
        ticks = os.sysconf("SC_CLK_TCK")
        busy = sum(fields[:3]) + sum(fields[5:8])
        cpu_ns = busy * 1_000_000_000 // ticks
        meminfo: dict[str, int] = {}
        with open("/proc/meminfo", encoding="ascii") as info:
            for line in info:
                name, _, rest = line.partition(":")
                meminfo[name] = int(rest.split()[0]) * 1024
        used = meminfo["MemTotal"] - meminfo.get("MemFree", 0)
        working = used - meminfo.get("Inactive(file)", 0)
        at_ns = int(now.timestamp() * 1e9)
        return Usage(_stamp(at_ns), self._rates.rate("node", at_ns, cpu_ns), cpu_ns, used, max(working, 0))

    async def summary(self, now: datetime) -> Object:
        """The ``Summary`` document."""
        pods = []
        for (namespace, name, uid), containers in sorted((await self.pods()).items()):
            entries = [
                {"name": container, **_usage_doc(usage)} for container, usage in sorted(containers.items())
            ]
            total = _total(containers.values())
            pods.append(
                {
                    "podRef": {"name": name, "namespace": namespace, "uid": uid}, "startTime": self._started_at,
                    "containers": entries, **_usage_doc(total),
                }
            )  # fmt: skip
        node = {"nodeName": self._node_name, "startTime": self._started_at, **_usage_doc(self.node(now))}
        return {"node": node, "pods": pods}

    async def resource_metrics(self, now: datetime) -> str:
        """The text of ``/metrics/resource``."""
        node = self.node(now)
        lines = [
            "# HELP node_cpu_usage_seconds_total Cumulative cpu time consumed by the node in core-seconds",
            "# TYPE node_cpu_usage_seconds_total counter",
            f"node_cpu_usage_seconds_total {node.cpu_nano_seconds / 1e9}",
            "# HELP node_memory_working_set_bytes Current working set of the node in bytes",
            "# TYPE node_memory_working_set_bytes gauge",
            f"node_memory_working_set_bytes {node.working_set_bytes}",
        ]
        cpu, memory = [], []
        for (namespace, pod, _), containers in sorted((await self.pods()).items()):
            for container, usage in sorted(containers.items()):
                label = f'{{container="{container}",namespace="{namespace}",pod="{pod}"}}'
                cpu.append(f"container_cpu_usage_seconds_total{label} {usage.cpu_nano_seconds / 1e9}")
                memory.append(f"container_memory_working_set_bytes{label} {usage.working_set_bytes}")
        lines += [
            "# HELP container_cpu_usage_seconds_total Cumulative cpu time consumed by the container in core-seconds",
            "# TYPE container_cpu_usage_seconds_total counter", *cpu,
            "# HELP container_memory_working_set_bytes Current working set of the container in bytes",
            "# TYPE container_memory_working_set_bytes gauge", *memory,
            "# HELP resource_scrape_error 1 if there was an error while getting container metrics, 0 otherwise",
            "# TYPE resource_scrape_error gauge", "resource_scrape_error 0", "",
        ]  # fmt: skip
        return "\n".join(lines)


def _usage_doc(usage: Usage) -> Object:
    return {
        "cpu": {
            "time": usage.at, "usageNanoCores": usage.cpu_nano_cores, "usageCoreNanoSeconds": usage.cpu_nano_seconds,
        },
        "memory": {
            "time": usage.at, "usageBytes": usage.memory_bytes, "workingSetBytes": usage.working_set_bytes,
        },
    }  # fmt: skip


def _total(usages: Iterable[Usage]) -> Usage:
    found = list(usages)
    return Usage(
        max((usage.at for usage in found), default=""), sum(usage.cpu_nano_cores for usage in found),
        sum(usage.cpu_nano_seconds for usage in found), sum(usage.memory_bytes for usage in found),
        sum(usage.working_set_bytes for usage in found),
    )  # fmt: skip
