"""Loads an image archive into containerd by its own tool; CRI has no call for it."""

from __future__ import annotations

import asyncio
import tempfile

from kubelet.cri.names import CONTAINERD_NAMESPACE


class ImportFailed(RuntimeError):
    """`ctr` refused the archive; the message is what it printed."""


async def import_archive(endpoint: str, archive: bytes, *, tool: str = "ctr") -> None:
    """Raises `ImportFailed`. The archive's own names become the image's names."""
    with tempfile.NamedTemporaryFile(prefix="image-", suffix=".tar") as file:
        file.write(archive)
        file.flush()
        await import_file(endpoint, file.name, tool=tool)


async def import_file(endpoint: str, path: str, *, tool: str = "ctr") -> None:
    process = await asyncio.create_subprocess_exec(
        tool, "--address", endpoint.removeprefix("unix://"), "-n", CONTAINERD_NAMESPACE, "image", "import", path,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise ImportFailed(output.decode(errors="replace").strip() or f"{tool} exited with {process.returncode}")
