"""Reading watches in tests, with an end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from apiserver.storage.interface import StoreEvent

PATIENCE_SECONDS = 10.0


async def take(stream: AsyncIterator[StoreEvent], count: int) -> list[StoreEvent]:
    """The next ``count`` events, progress left out."""
    found: list[StoreEvent] = []

    async def read() -> None:
        async for event in stream:
            if event.type != "progress":
                found.append(event)
            if len(found) >= count:
                return

    await asyncio.wait_for(read(), PATIENCE_SECONDS)
    return found


async def silent(stream: AsyncIterator[StoreEvent], seconds: float = 0.15) -> bool:
    """True if nothing comes for a while."""
    try:
        event = await asyncio.wait_for(anext(stream), seconds)
    except TimeoutError:
        return True
    return event.type == "progress"
