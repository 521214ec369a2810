"""Ends tasks that containerd runs and CRI does not know of.

When an agent dies in the middle of StartContainer, containerd may have started the task while CRI still books the
container as created: CRI then neither stops nor removes it. Its own tool can kill the task; CRI removes the rest.
"""

from __future__ import annotations

import asyncio

import structlog

from kubelet.cri.client import Runtime
from kubelet.cri.errors import CriError
from kubelet.cri.names import CONTAINERD_NAMESPACE

log = structlog.get_logger(__name__)


async def remove_container(runtime: Runtime, container_id: str, *, tool: str = "ctr") -> None:
    """Removes a container that may be gone already, or may be running behind CRI's back."""
    try:
        await runtime.remove_container(container_id)
    except CriError as error:
        if error.is_not_found:
            return
        if "cannot delete running task" not in error.message:
            raise
        log.info("killing a task that the runtime lost sight of", container=container_id[:12])
        await _kill_task(runtime.endpoint, container_id, tool)
        await runtime.remove_container(container_id)


async def _kill_task(endpoint: str, container_id: str, tool: str) -> None:
    base = [tool, "--address", endpoint.removeprefix("unix://"), "-n", CONTAINERD_NAMESPACE, "task"]
    for words in (["kill", "--signal", "SIGKILL", container_id], ["delete", "--force", container_id]):
        process = await asyncio.create_subprocess_exec(
            *base, *words, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        await process.wait()
