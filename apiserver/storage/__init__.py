"""Where objects are kept: engines behind one contract, and the watch cache over them."""

from __future__ import annotations

from apiserver.storage.factory import open_storage

__all__ = ["open_storage"]
