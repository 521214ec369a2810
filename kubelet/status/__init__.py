"""What to say about a pod: a pure function of the pod, the runtime's state and the plan."""

from kubelet.status.compute import NodeFacts, compute_status

__all__ = ["NodeFacts", "compute_status"]
