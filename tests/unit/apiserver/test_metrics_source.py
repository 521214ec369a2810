"""How often agents are asked: twice when there is no recent reading to compare with, and not while it is fresh."""

from __future__ import annotations

import asyncio
from typing import Any

from apiserver.metricsapi import source
from apiserver.metricsapi.source import FRESH_SECONDS, STALE_SECONDS, SummarySource


class CountingSource(SummarySource):
    def __init__(self) -> None:
        self.now = 100.0
        nothing: Any = None
        super().__init__(nothing, lambda: self.now)
        self.asked = 0

    async def _fetch(self, name: str) -> dict[str, Any] | None:
        if name == "dead":
            return None
        self.asked += 1
        self._kept[name] = (self.now, {"asked": self.asked})
        return self._kept[name][1]


async def test_a_rate_needs_two_readings_and_fresh_ones_are_shared(monkeypatch):
    monkeypatch.setattr(source, "SAMPLE_SECONDS", 0)
    counting = CountingSource()
    assert await counting.summaries(["n"]) == {"n": {"asked": 2}}
    assert await counting.summaries(["n"]) == {"n": {"asked": 2}}
    counting.now += FRESH_SECONDS + 1
    assert await counting.summaries(["n"]) == {"n": {"asked": 3}}
    counting.now += STALE_SECONDS + 1
    assert await counting.summaries(["n"]) == {"n": {"asked": 5}}


async def test_two_clients_at_once_ask_once(monkeypatch):
    monkeypatch.setattr(source, "SAMPLE_SECONDS", 0.01)
    counting = CountingSource()
    first, second = await asyncio.gather(counting.summaries(["n"]), counting.summaries(["n"]))
    assert first == second == {"n": {"asked": 2}}


async def test_a_node_that_does_not_answer_is_left_out():
    assert await CountingSource().summaries(["dead"]) == {}
