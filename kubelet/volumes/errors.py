"""A volume that cannot be made ready."""

from __future__ import annotations


class VolumeError(Exception):
    """``message`` is the reason alone; the event adds which volume."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
