"""Probes: exec, HTTP, TCP and gRPC, and what their results mean for a container."""

from kubelet.probes.manager import ProbeManager

__all__ = ["ProbeManager"]
