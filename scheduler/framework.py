"""What a plugin is: a vectorised question about all nodes.

A filter answers with a mask over slots (True: the node passes; None: all pass) and, only when a pod fits nowhere, with
the words for each node that it refused. A score answers with raw numbers over slots and says how they become 0..100.
Both are pure functions of the table and the pod.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from scheduler.node_table import BoolArray, IntArray, NodeTable
from scheduler.pod_info import PodInfo

MAX_NODE_SCORE = 100


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a node was refused. ``unresolvable``: evicting pods from it would not help."""

    reasons: tuple[str, ...]
    unresolvable: bool = False


class FilterPlugin(Protocol):
    name: str
    #: Whether the answer depends on nothing but the node's own labels, taints and the pod's signature.
    static: bool

    def filter(self, table: NodeTable, pod: PodInfo) -> BoolArray | None: ...

    def refusal(self, table: NodeTable, pod: PodInfo, slot: int) -> Refusal: ...


class ScorePlugin(Protocol):
    name: str
    weight: int

    def score(self, table: NodeTable, pod: PodInfo, feasible: BoolArray) -> IntArray | None:
        """Already normalised to 0..100 over the feasible nodes; None: no opinion."""
        ...
