"""Pod address ranges for nodes: one block of the cluster's range each. Pure bookkeeping.

The search goes round from the last block given out, so that the range of a removed node rests before it is used again.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class RangeExhausted(Exception):
    """Every block of the cluster range is in use."""


class CidrAllocator:
    def __init__(self, cluster_cidr: str, mask_size: int) -> None:
        self._network: Network = ipaddress.ip_network(cluster_cidr)
        if mask_size < self._network.prefixlen:
            raise ValueError(f"node mask /{mask_size} is larger than the cluster range {cluster_cidr}")
        self._mask = mask_size
        self._count = 1 << (mask_size - self._network.prefixlen)
        self._size = 1 << (self._network.max_prefixlen - mask_size)
        self._used: set[int] = set()
        self._next = 0

    @property
    def family(self) -> int:
        return self._network.version

    def occupy(self, cidr: str) -> None:
        """Mark the blocks that ``cidr`` overlaps; ranges outside the cluster's are none of our business."""
        for number in self._blocks(cidr):
            self._used.add(number)

    def release(self, cidr: str) -> None:
        for number in self._blocks(cidr):
            self._used.discard(number)

    def allocate(self) -> str:
        for step in range(self._count):
            number = (self._next + step) % self._count
            if number not in self._used:
                self._used.add(number)
                self._next = (number + 1) % self._count
                first = self._network.network_address + number * self._size
                return f"{first}/{self._mask}"
        raise RangeExhausted(f"no free /{self._mask} left in {self._network}")

    def _blocks(self, cidr: str) -> Iterable[int]:
        network = ipaddress.ip_network(cidr, strict=False)
        if network.version != self._network.version or not network.overlaps(self._network):
            return ()
        base = int(self._network.network_address)
        first = max(0, (int(network.network_address) - base) // self._size)
        last = min(self._count - 1, (int(network.broadcast_address) - base) // self._size)
        return range(first, last + 1)
