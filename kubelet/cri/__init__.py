"""The container runtime, spoken to through CRI v1 and containerd's event service. Only this package imports gRPC."""

from __future__ import annotations

import os

# The agent starts small commands (nft, ctr); gRPC's handlers around a fork only complain in the log, and what is
# started executes something else at once. Read when gRPC is first imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from kubelet.cri.client import Runtime
from kubelet.cri.errors import CriError

__all__ = ["CriError", "Runtime"]
