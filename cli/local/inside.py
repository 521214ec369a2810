"""Open sockets in another network namespace.

A socket belongs for ever to the namespace that its thread was in when it was made. So the thread steps over, makes the
socket, and steps back before anything else can run.
"""

from __future__ import annotations

import ctypes
import os
import socket

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def setns(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET):
        error = ctypes.get_errno()
        raise OSError(error, f"setns: {os.strerror(error)}")


class Inside:
    def __init__(self, path: str) -> None:
        self._path = path
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def socket(self, kind: socket.SocketKind) -> socket.socket:
        # Opened each time: the namespace behind the path is another one after `down` and `up`.
        there = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            setns(there)
            try:
                made = socket.socket(socket.AF_INET, kind)
            finally:
                setns(self._home)
        finally:
            os.close(there)
        made.setblocking(False)
        return made
