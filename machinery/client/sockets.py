"""Sockets that notice when the other side has gone without a word.

A machine that loses power or its network closes nothing. A watch only waits, so without these options it would wait on
the dead connection for ever, and a request would be sent again and again at ever longer intervals, so that a connection
is used for minutes after the network is back. With them the kernel gives up within ``SILENCE_SECONDS``, and the caller
connects anew. Accepted sockets inherit the options of their listener, so a server sets them once.
"""

from __future__ import annotations

import socket
from typing import Any

SILENCE_SECONDS = 20
IDLE_SECONDS = 10  # of quiet before the other side is asked whether it is there
ASK_SECONDS = 5

_OPTIONS = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE_SECONDS),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, ASK_SECONDS),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, (SILENCE_SECONDS - IDLE_SECONDS) // ASK_SECONDS),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_SECONDS * 1000),
)


def watch_over(sock: socket.socket) -> None:
    """Set the options on a TCP socket, connected or listening."""
    for level, option, value in _OPTIONS:
        sock.setsockopt(level, option, value)


def watchful_socket(address: tuple[Any, ...]) -> socket.socket:
    """A new socket for an entry of ``getaddrinfo``, as an HTTP connector asks for it."""
    family, kind, protocol = address[:3]
    made = socket.socket(family, kind, protocol)
    watch_over(made)
    return made
