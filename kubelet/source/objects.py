"""Reads single ConfigMaps and Secrets that pods name.

The node authorizer lets an agent get exactly those, one by one; it may not list them. A short memory serves the pods
that start together, and concurrent reads of one object share one request.
"""

from __future__ import annotations

import asyncio
from typing import Any

from machinery.client import Client
from machinery.meta.errors import ApiError, is_forbidden, is_not_found
from machinery.runtime.clock import SYSTEM_CLOCK, Clock

FRESH_SECONDS = 1.0
Object = dict[str, Any]


class ObjectReader:
    def __init__(self, client: Client, *, fresh_seconds: float = FRESH_SECONDS, clock: Clock = SYSTEM_CLOCK) -> None:
        self._client, self._clock, self._fresh = client, clock, fresh_seconds
        self._known: dict[tuple[str, str, str], tuple[float, Object | None]] = {}
        self._running: dict[tuple[str, str, str], asyncio.Future[Object | None]] = {}

    async def get(self, plural: str, namespace: str, name: str) -> Object | None:
        """None when it does not exist (or, which the authorizer tells alike, no pod here names it)."""
        key = (plural, namespace, name)
        known = self._known.get(key)
        if known is not None and self._clock.monotonic() - known[0] < self._fresh:
            return known[1]
        running = self._running.get(key)
        if running is None:
            running = asyncio.ensure_future(self._fetch(key))
            self._running[key] = running
            running.add_done_callback(lambda _: self._running.pop(key, None))
        return await asyncio.shield(running)

    async def _fetch(self, key: tuple[str, str, str]) -> Object | None:
        plural, namespace, name = key
        try:
            found: Object | None = await self._client.get("v1", plural, name, namespace=namespace)
        except ApiError as error:
            if not (is_not_found(error) or (is_forbidden(error) and "no relationship found" in error.message)):
                raise
            found = None
        self._forget_old()
        if found is not None:
            self._known[key] = (self._clock.monotonic(), found)
        return found

    def _forget_old(self) -> None:
        """Secrets do not stay in memory longer than they are needed."""
        limit = self._clock.monotonic() - self._fresh
        for key in [key for key, (at, _) in self._known.items() if at < limit]:
            del self._known[key]

    async def get_all(
        self, namespace: str, wanted: set[tuple[str, str]]
    ) -> tuple[dict[str, Object | None], dict[str, Object | None]]:
        """(ConfigMaps, Secrets) by name, fetched together."""
        order = sorted(wanted)
        found = await asyncio.gather(*(self.get(plural, namespace, name) for plural, name in order))
        config_maps: dict[str, Object | None] = {}
        secrets: dict[str, Object | None] = {}
        for (plural, name), obj in zip(order, found, strict=True):
            (config_maps if plural == "configmaps" else secrets)[name] = obj
        return config_maps, secrets
