"""Pods: the spec and everything in it, and what an update may change."""

from apiserver.validation.pods.pod import RULES
from apiserver.validation.pods.spec import validate_pod_spec

__all__ = ["RULES", "validate_pod_spec"]
