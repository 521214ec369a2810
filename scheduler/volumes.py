"""Claims of a pod before it is placed: they must exist and be bound, and their volumes may pin the pod to nodes.

Pure. Binding unbound claims at scheduling time (WaitForFirstConsumer) belongs to the volume controllers; until a claim
is bound the pod waits, and the sentence says for what.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scheduler.framework import Refusal
from scheduler.node_table import BoolArray, NodeTable
from scheduler.plugins.node_constraints import term_mask
from scheduler.pod_info import PodInfo

Object = dict[str, Any]
Lookup = Callable[[str], Object | None]


class VolumeBinding:
    """A filter: nodes that the bound volumes of the pod admit."""

    name = "VolumeBinding"
    static = False

    def __init__(self, claim: Lookup, volume: Lookup) -> None:
        self._claim, self._volume = claim, volume

    def hindrance(self, pod: PodInfo) -> str:
        """What keeps the pod from being placed anywhere, or ""."""
        for name in pod.claims:
            claim = self._claim(f"{pod.namespace}/{name}")
            if claim is None:
                return f'persistentvolumeclaim "{name}" not found'
            if claim["metadata"].get("deletionTimestamp"):
                return f'persistentvolumeclaim "{name}" is being deleted'
            if (claim.get("status") or {}).get("phase") == "Lost":
                volume = claim["spec"].get("volumeName", "")
                return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{volume}"'
            if not claim["spec"].get("volumeName"):
                return "pod has unbound immediate PersistentVolumeClaims"
        return ""

    def filter(self, table: NodeTable, pod: PodInfo) -> BoolArray | None:
        mask: BoolArray | None = None
        for name in pod.claims:
            claim = self._claim(f"{pod.namespace}/{name}")
            volume = self._volume(claim["spec"].get("volumeName", "")) if claim else None
            required = ((volume or {}).get("spec", {}).get("nodeAffinity") or {}).get("required")
            if not required:
                continue
            allowed = np.zeros(table.capacity, np.bool_)
            for term in required.get("nodeSelectorTerms") or ():
                found = term_mask(table, term)
                if found is not None:
                    allowed |= found
            mask = allowed if mask is None else mask & allowed
        return mask

    def refusal(self, table: NodeTable, pod: PodInfo, slot: int) -> Refusal:
        return Refusal(("node(s) didn't match PersistentVolume's node affinity",), unresolvable=True)
