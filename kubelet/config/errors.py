"""Why a container cannot be made as its pod asks: reason and message as the status shows them."""

from __future__ import annotations


class ConfigError(Exception):
    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
