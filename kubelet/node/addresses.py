"""The node's own addresses, when nobody says them: the one that a packet to the API server would carry."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit


def find_addresses(server: str) -> tuple[str, ...]:
    """No packet is sent: connecting a datagram socket only asks the kernel for the route."""
    parts = urlsplit(server)
    host, port = parts.hostname or "127.0.0.1", parts.port or 443
    for family, kind, _, _, address in _resolve(host, port):
        with socket.socket(family, kind) as probe:
            try:
                probe.connect(address)
            except OSError:
                continue
            return (str(probe.getsockname()[0]),)
    return ("127.0.0.1",)


def _resolve(host: str, port: int) -> list[tuple[int, int, int, str, tuple[str, int]]]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)  # type: ignore[return-value]
    except OSError:
        return []
