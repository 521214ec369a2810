"""Removes images that no container uses when the disk fills: the least recently used first, until there is room."""

from __future__ import annotations

from pathlib import Path

import structlog

from kubelet.cri import CriError, Runtime
from kubelet.node.machine import read_disk
from machinery.runtime.clock import SYSTEM_CLOCK, Clock

log = structlog.get_logger(__name__)

CHECK_SECONDS = 300.0
HIGH_SHARE, LOW_SHARE = 0.85, 0.80
MIN_AGE_SECONDS = 120.0


class ImageCollector:
    def __init__(self, runtime: Runtime, disk: Path, pinned: set[str], *, clock: Clock = SYSTEM_CLOCK) -> None:
        """``pinned`` are names that stay: the sandbox image would be missed."""
        self._runtime, self._disk, self._pinned, self._clock = runtime, disk, pinned, clock
        self._last_used: dict[str, float] = {}
        self._first_seen: dict[str, float] = {}

    async def run(self) -> None:
        while True:
            try:
                await self.collect()
            except CriError as error:
                log.warning("image collection waits for the runtime", error=str(error))
            await self._clock.sleep(CHECK_SECONDS)

    async def collect(self) -> None:
        disk = read_disk(self._disk)
        used = 1 - disk.available_bytes / max(disk.total_bytes, 1)
        images = await self._runtime.list_images()
        in_use = {name for c in await self._runtime.list_containers() for name in (c.image_ref, c.image.image)}
        now = self._clock.monotonic()
        for image in images:
            self._first_seen.setdefault(image.id, now)
            if in_use & {image.id, *image.repo_tags, *image.repo_digests}:
                self._last_used[image.id] = now
        if used < HIGH_SHARE:
            return
        to_free = int((used - LOW_SHARE) * disk.total_bytes)
        for image in sorted(images, key=lambda i: self._last_used.get(i.id, 0.0)):
            names = {image.id, *image.repo_tags, *image.repo_digests}
            young = now - self._first_seen[image.id] < MIN_AGE_SECONDS
            if to_free <= 0 or young or image.pinned or names & (in_use | self._pinned):
                continue
            await self._runtime.remove_image(image.id)
            log.info("image removed to free space", image=sorted(names)[-1], bytes=image.size)
            to_free -= image.size
