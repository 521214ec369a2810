"""Cluster IPs: an address is held by whoever created its IPAddress object.

Free addresses are sought from a random start in the upper part of the range; the lower band is left to people who name
their addresses, and used last.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator

from apiserver.registry.interface import ObjectReader, ObjectWriter
from machinery.meta.errors import ApiError, is_already_exists, is_not_found
from machinery.meta.objects import Object

GROUP, RESOURCE = "networking.k8s.io", "ipaddresses"
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class AddressAllocator:
    def __init__(self, reader: ObjectReader, writer: ObjectWriter, rng: random.Random | None = None) -> None:
        self._reader = reader
        self._writer = writer
        self._rng = rng or random.Random()

    async def allocate(self, service: Object, *, dry_run: bool) -> str | None:
        """A free address of the service's first family, claimed; None when there is none."""
        family = ((service.get("spec") or {}).get("ipFamilies") or ["IPv4"])[0]
        version = 6 if family == "IPv6" else 4
        for network in self._networks():
            if network.version != version:
                continue
            for offset in candidate_offsets(network, self._rng):
                address = str(network[offset])
                if self._reader.get(GROUP, RESOURCE, "", address) is not None:
                    continue
                if dry_run or await self._create(address, service):
                    return address
        return None

    async def claim(self, address: str, service: Object, *, dry_run: bool) -> str:
        """Claim the address that was asked for. The reason why not, or ""."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return ""  # validation says so
        networks = self._networks()
        if not any(is_usable(parsed, network) for network in networks):
            shown = ", ".join(str(network) for network in networks)
            return f"the provided IP ({address}) is not in the valid range. The range of valid IPs is {shown}"
        if self._reader.get(GROUP, RESOURCE, "", address) is not None:
            return "provided IP is already allocated"
        if not dry_run and not await self._create(address, service):
            return "provided IP is already allocated"
        return ""

    async def release(self, address: str) -> None:
        try:
            await self._writer.delete(GROUP, RESOURCE, "", address)
        except ApiError as error:
            if not is_not_found(error):
                raise

    async def _create(self, address: str, service: Object) -> bool:
        meta = service["metadata"]
        try:
            await self._writer.create(GROUP, RESOURCE, "", {
                "metadata": {"name": address, "labels": {
                    "ipaddress.kubernetes.io/ip-family": "IPv6" if ":" in address else "IPv4",
                    "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
                }},
                "spec": {"parentRef": {
                    "group": "", "resource": "services", "namespace": meta.get("namespace", ""),
                    "name": meta.get("name", ""),
                }},
            })  # fmt: skip
        except ApiError as error:
            if is_already_exists(error):
                return False
            raise
        return True

    def _networks(self) -> list[Network]:
        networks = []
        for obj in self._reader.list(GROUP, "servicecidrs"):
            if obj["metadata"].get("deletionTimestamp"):
                continue
            networks += [ipaddress.ip_network(text) for text in (obj.get("spec") or {}).get("cidrs") or ()]
        return networks


def is_usable(address: ipaddress.IPv4Address | ipaddress.IPv6Address, network: Network) -> bool:
    """In the network, and neither its own address nor (IPv4) its broadcast address."""
    if address.version != network.version or address not in network or address == network.network_address:
        return False
    return address.version == 6 or address != network.broadcast_address


def band_size(size: int) -> int:
    """Addresses at the bottom that are given only when the rest is used up."""
    return 0 if size < 16 else min(max(16, size // 16), 256)


def candidate_offsets(network: Network, rng: random.Random) -> Iterator[int]:
    """Every usable offset once: the part above the band first, each part from a random start."""
    usable = network.num_addresses - (2 if network.version == 4 and network.num_addresses > 2 else 1)
    band = band_size(usable)
    for low, high in ((band, usable), (0, band)):
        size = high - low
        if size > 0:
            start = rng.randrange(size)
            for i in range(size):
                yield 1 + low + (start + i) % size
