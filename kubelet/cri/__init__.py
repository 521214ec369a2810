"""The container runtime, spoken to through CRI v1 and containerd's event service. Only this package imports gRPC."""

from kubelet.cri.client import Runtime
from kubelet.cri.errors import CriError

__all__ = ["CriError", "Runtime"]
