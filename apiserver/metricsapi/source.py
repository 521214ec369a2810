"""Asking the agents: all nodes at once, each at most every ten seconds; a node that does not answer is left out.

Nobody is asked before a client wants to know. An agent tells rates between two questions, so a node that has not been
asked for a while is asked twice: the first `top` takes a second longer, and nothing runs while nobody looks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import aiohttp
import orjson
import structlog

from apiserver.endpoints.locate import Locator
from machinery.meta.errors import ApiError

log = structlog.get_logger(__name__)
Object = dict[str, Any]

FRESH_SECONDS = 10.0
TIMEOUT_SECONDS = 5.0
SAMPLE_SECONDS = 1.1  # above the shortest interval over which an agent computes a rate
STALE_SECONDS = 60.0


class SummarySource:
    """Summaries by node, remembered while they are fresh."""

    def __init__(self, locator: Locator, monotonic: Callable[[], float]) -> None:
        self._locator, self._monotonic = locator, monotonic
        self._kept: dict[str, tuple[float, Object]] = {}
        self._flying: dict[str, asyncio.Task[Object | None]] = {}
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def summaries(self, nodes: Iterable[str]) -> dict[str, Object]:
        """node name -> Summary, of those that answer."""
        names = list(nodes)
        answers = await asyncio.gather(*(self._summary(name) for name in names))
        for gone in self._kept.keys() - set(names):
            if self._kept[gone][0] + FRESH_SECONDS < self._monotonic():
                del self._kept[gone]
        return {name: answer for name, answer in zip(names, answers, strict=True) if answer is not None}

    async def _summary(self, name: str) -> Object | None:
        kept = self._kept.get(name)
        if kept is not None and kept[0] + FRESH_SECONDS > self._monotonic():
            return kept[1]
        flying = self._flying.get(name)
        if flying is None:
            flying = asyncio.ensure_future(self._sample(name))
            self._flying[name] = flying
            flying.add_done_callback(lambda _: self._flying.pop(name, None))
        return await asyncio.shield(flying)

    async def _sample(self, name: str) -> Object | None:
        kept = self._kept.get(name)
        if kept is None or kept[0] + STALE_SECONDS < self._monotonic():
            if await self._fetch(name) is None:
                return None
            await asyncio.sleep(SAMPLE_SECONDS)
        return await self._fetch(name)

    async def _fetch(self, name: str) -> Object | None:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS))
        try:
            backend = self._locator.agent(name, "/stats/summary", ())
            url = f"https://{backend.authority}{backend.target}"
            async with self._session.get(url, ssl=backend.tls or True) as answer:
                if answer.status != 200:
                    log.info("no statistics from a node", node=name, status=answer.status)
                    return None
                summary: Object = orjson.loads(await answer.read())
        except (ApiError, aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            log.info("no statistics from a node", node=name, error=str(error) or type(error).__name__)
            return None
        self._kept[name] = (self._monotonic(), summary)
        return summary
