"""The control plane's routes into the pods' networks."""

from __future__ import annotations

import asyncio
import sys


async def apply_routes(netns: str, present: dict[str, str], wanted: dict[str, str]) -> dict[str, str]:
    """Make the kernel's routes those that are wanted; returns what is there now."""
    lines = [f"route replace {cidr} via {address}" for cidr, address in wanted.items() if present.get(cidr) != address]
    lines += [f"route delete {cidr}" for cidr in present if cidr not in wanted]
    if not lines:
        return present
    process = await asyncio.create_subprocess_exec(
        "nsenter", f"--net={netns}", "ip", "-force", "-batch", "-",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, complaint = await process.communicate("\n".join(lines).encode() + b"\n")
    if process.returncode:
        print(f"routes: {complaint.decode(errors='replace').strip()}", file=sys.stderr, flush=True)
        return {}  # unknown: the next change writes all of them again
    return dict(wanted)
