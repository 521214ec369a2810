"""What is measured of containers: those that run, and rates over the time between two readings."""

from __future__ import annotations

from typing import Any

import pytest

from kubelet.cri import names
from kubelet.server.stats import CpuRates, Statistics
from proto import cri_pb2 as cri

SECOND = 1_000_000_000


class FakeRuntime:
    def __init__(self, *stats: cri.ContainerStats) -> None:
        self.stats = stats

    async def list_container_stats(self) -> tuple[cri.ContainerStats, ...]:
        return self.stats


def stats(container: str, at_ns: int, cpu_ns: int = 0, memory: int = 0) -> cri.ContainerStats:
    labels = {names.POD_NAMESPACE: "ns", names.POD_NAME: "pod", names.POD_UID: "uid", names.CONTAINER_NAME: container}
    found = cri.ContainerStats(attributes=cri.ContainerAttributes(id=container, labels=labels))
    if at_ns:
        found.cpu.timestamp, found.cpu.usage_core_nano_seconds.value = at_ns, cpu_ns
        found.memory.timestamp, found.memory.working_set_bytes.value = at_ns, memory
    return found


async def test_a_container_that_has_ended_is_not_in_the_summary():
    runtime: Any = FakeRuntime(stats("init", 0), stats("main", 5 * SECOND, SECOND, 1 << 20))
    found = await Statistics(runtime, "node", "").pods()
    assert list(found["ns", "pod", "uid"]) == ["main"]


@pytest.mark.parametrize(
    ("readings", "rate"),
    [
        ([(10, 5)], 0),
        ([(10, 5), (12, 6)], SECOND // 2),
        ([(10, 5), (12, 6), (12.5, 6.5)], SECOND // 2),  # too soon for a window of its own
        ([(10, 5), (12, 1)], 0),  # the container was started again
    ],
)
def test_rates_are_over_the_time_between_readings(readings, rate):
    rates = CpuRates()
    found = [rates.rate("c", int(at * SECOND), int(cpu * SECOND)) for at, cpu in readings]
    assert found[-1] == rate
