"""Routes to the pods of other nodes: ``<their pod CIDR> via <their address>``.

Nodes share a network segment (that is what "host gateway" routing asks for); a node whose address is not on a local
subnet gets no route, and the log says so. Our routes carry a protocol number of our own, so that only ours are ever
removed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import structlog

log = structlog.get_logger(__name__)
Object = dict[str, Any]

#: ``ip route … proto 78``: the mark of our routes.
PROTOCOL = "78"


def compute_routes(nodes: Iterable[Object], own_name: str) -> dict[str, str]:
    """Pod CIDR -> gateway for every other node that has both."""
    out = {}
    for node in nodes:
        if node["metadata"]["name"] == own_name:
            continue
        cidrs = (node.get("spec") or {}).get("podCIDRs") or ()
        addresses = [
            entry["address"]
            for entry in (node.get("status") or {}).get("addresses") or ()
            if entry.get("type") == "InternalIP"
        ]
        for cidr in cidrs:
            gateway = next((address for address in addresses if (":" in address) == (":" in cidr)), None)
            if gateway:
                out[cidr] = gateway
    return out


def plan_routes(wanted: dict[str, str], present: dict[str, str]) -> list[list[str]]:
    """``ip`` arguments that turn the present routes into the wanted ones."""
    steps = [
        ["route", "replace", cidr, "via", gateway, "proto", PROTOCOL]
        for cidr, gateway in wanted.items()
        if present.get(cidr) != gateway
    ]
    steps += [["route", "del", cidr, "proto", PROTOCOL] for cidr in present if cidr not in wanted]
    return steps


async def list_routes() -> dict[str, str]:
    """Our routes as they are: CIDR -> gateway."""
    text = await _ip("-json", "route", "show", "proto", PROTOCOL)
    return {entry["dst"]: entry.get("gateway", "") for entry in json.loads(text or "[]")}


async def ensure_routes(wanted: dict[str, str]) -> None:
    """Make it so; a route that cannot be made is logged and tried again at the next change."""
    for step in plan_routes(wanted, await list_routes()):
        try:
            await _ip(*step)
        except OSError as error:
            log.warning("no route to a node's pods", step=" ".join(step), error=str(error))


async def ensure_local_address(address: str) -> None:
    """``address`` answers on this node (on the loopback interface, so that no neighbour hears of it)."""
    await _ip("address", "replace", f"{address}/32", "dev", "lo")


async def _ip(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "ip", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, complaint = await process.communicate()
    if process.returncode:
        raise OSError(complaint.decode(errors="replace").strip())
    return out.decode()
