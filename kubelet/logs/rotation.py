"""Log rotation: a log that grew past its size is renamed and the runtime opens a new one.

Five files of ten mebibytes a container; rotated files are compressed except the newest, which a reader may still
follow. Names carry the time of rotation, so that sorting by name is sorting by age.
"""

from __future__ import annotations

import asyncio
import gzip
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import structlog

from kubelet.cri import CriError, Runtime, names
from kubelet.logs.paths import container_log_path
from machinery.runtime.clock import SYSTEM_CLOCK, Clock
from proto import cri_pb2 as cri

log = structlog.get_logger(__name__)

CHECK_SECONDS = 10.0


def rotated_name(path: Path, now: datetime) -> Path:
    return path.with_name(f"{path.name}.{now.strftime('%Y%m%d-%H%M%S')}")


def rotated_files(path: Path) -> list[Path]:
    """Oldest first; unfinished compressions are not among them."""
    return sorted(p for p in path.parent.glob(f"{path.name}.*") if not p.name.endswith(".tmp"))


class LogRotator:
    def __init__(
        self, runtime: Runtime, root: Path, *, max_bytes: int = 10 * 1024 * 1024, max_files: int = 5,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:  # fmt: skip
        """``root``: the folder of all pods' logs."""
        self._runtime, self._root, self._clock = runtime, root, clock
        self.max_bytes, self.max_files = max_bytes, max_files

    async def run(self) -> None:
        while True:
            await self._clock.sleep(CHECK_SECONDS)
            try:
                await self.rotate_all()
            except CriError as error:
                log.warning("log rotation waits for the runtime", error=str(error))

    async def rotate_all(self) -> None:
        for item in await self._runtime.list_containers():
            if item.state != cri.CONTAINER_RUNNING or not item.labels.get(names.POD_UID):
                continue
            path = self.path_of(item.labels, item.annotations)
            try:
                too_large = path.stat().st_size > self.max_bytes
            except OSError:
                continue
            if too_large:
                await self.rotate(item.id, path)

    def path_of(self, labels: Mapping[str, str], annotations: Mapping[str, str]) -> Path:
        """From what every container carries: asking the runtime for each one's status would cost a call apiece."""
        pod = f"{labels[names.POD_NAMESPACE]}_{labels[names.POD_NAME]}_{labels[names.POD_UID]}"
        count = int(annotations.get(names.CONTAINER_RESTART_COUNT) or 0)
        return self._root / pod / container_log_path(labels[names.CONTAINER_NAME], count)

    async def rotate(self, container_id: str, path: Path) -> None:
        """Prunes, compresses what was rotated before, renames, and has the runtime open a new file."""
        old = rotated_files(path)
        for surplus in old[: max(len(old) - (self.max_files - 2), 0)]:
            surplus.unlink(missing_ok=True)
        for plain in [p for p in old if p.suffix != ".gz" and p.exists()]:
            await asyncio.to_thread(compress, plain)
        target = rotated_name(path, self._clock.now())
        path.rename(target)
        try:
            await self._runtime.reopen_container_log(container_id)
        except CriError:
            target.rename(path)  # the runtime still writes there
            raise
        log.info("log rotated", container=container_id[:12], path=str(path))


def compress(path: Path) -> None:
    temporary = path.with_name(path.name + ".tmp")
    with path.open("rb") as source, gzip.open(temporary, "wb") as target:
        shutil.copyfileobj(source, target)
    temporary.rename(path.with_name(path.name + ".gz"))
    path.unlink()
