"""Running nft: the one place where rules reach the kernel."""

from __future__ import annotations

import asyncio


class NftError(Exception):
    """The kernel or nft refused a transaction; nothing of it was applied."""


async def apply_transaction(text: str) -> None:
    """Apply atomically. Raises NftError with nft's first complaint."""
    try:
        process = await asyncio.create_subprocess_exec(
            "nft", "-f", "-", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
    except FileNotFoundError:
        raise NftError("nft is not installed: apt-get install nftables") from None
    _, complaint = await process.communicate(text.encode())
    if process.returncode:
        raise NftError(complaint.decode(errors="replace").strip()[:2000])


async def forget_udp_flows(flows: list[tuple[str, int, str]]) -> None:
    """Drop conntrack entries of UDP flows ``(service address, port, endpoint)`` whose endpoint is gone.

    TCP clients notice a dead endpoint and connect anew; a UDP sender goes on for ever into the remembered flow.
    """
    for address, port, endpoint in flows:
        process = await asyncio.create_subprocess_exec(
            "conntrack", "-D", "-p", "udp", "--orig-dst", address, "--orig-port-dst", str(port),
            "--reply-src", endpoint, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        await process.wait()
