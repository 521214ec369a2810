"""The runtime's failures as one exception, so that nobody above this package knows gRPC."""

from __future__ import annotations

import grpc


class CriError(Exception):
    """A refused or failed runtime call. ``code`` is the gRPC code's name, ``message`` the runtime's own words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def is_not_found(self) -> bool:
        return self.code == "NOT_FOUND"

    @property
    def is_unavailable(self) -> bool:
        return self.code == "UNAVAILABLE"

    @property
    def is_deadline_exceeded(self) -> bool:
        return self.code == "DEADLINE_EXCEEDED"

    @property
    def is_busy(self) -> bool:
        """The runtime still does something else with the container (for an agent that died, say): soon it will not."""
        return "in starting state" in self.message or "already in removing state" in self.message

    def __str__(self) -> str:
        """As client messages of the ecosystem print a gRPC error."""
        words = "".join(part.capitalize() for part in self.code.split("_"))
        return f"rpc error: code = {words} desc = {self.message}"


def from_rpc_error(error: grpc.aio.AioRpcError) -> CriError:
    return CriError(error.code().name, error.details() or "")
