"""Resources: does the pod fit, how full would the node be, how even."""

from __future__ import annotations

import numpy as np

from scheduler.framework import MAX_NODE_SCORE, Refusal
from scheduler.node_table import BoolArray, IntArray, NodeTable
from scheduler.pod_info import PodInfo

#: Requests for these are never refused by the scheduler (they are set by other means).
_ORDER = {"cpu": 0, "memory": 1, "ephemeral-storage": 2}


class NodeResourcesFit:
    """Requests against what is free; scores by how much stays free (LeastAllocated of cpu and memory)."""

    name = "NodeResourcesFit"
    static = False
    weight = 1

    def filter(self, table: NodeTable, pod: PodInfo) -> BoolArray | None:
        mask = table.pod_count < table.pod_limit
        for resource, amount in pod.requests.items():
            if amount:
                row = table.row(resource)
                mask &= table.allocatable[row] - table.used[row] >= amount
        return mask

    def refusal(self, table: NodeTable, pod: PodInfo, slot: int) -> Refusal:
        reasons = []
        unresolvable = False
        if table.pod_count[slot] >= table.pod_limit[slot]:
            reasons.append("Too many pods")
        for resource in sorted(pod.requests, key=lambda name: (_ORDER.get(name, 9), name)):
            amount, row = pod.requests[resource], table.row(resource)
            if amount and table.allocatable[row, slot] - table.used[row, slot] < amount:
                reasons.append(f"Insufficient {resource}")
                unresolvable |= bool(amount > table.allocatable[row, slot])
        return Refusal(tuple(reasons), unresolvable)

    def score(self, table: NodeTable, pod: PodInfo, feasible: BoolArray) -> IntArray | None:
        total = np.zeros(table.capacity, np.int64)
        weights = np.zeros(table.capacity, np.int64)
        for row, asked in ((0, pod.non_zero_cpu), (1, pod.non_zero_memory)):
            capacity = table.allocatable[row]
            free = np.maximum(capacity - table.scoring_used[row] - asked, 0)
            has = capacity > 0
            total += np.where(has, free * MAX_NODE_SCORE // np.maximum(capacity, 1), 0)
            weights += has
        return total // np.maximum(weights, 1)


class NodeResourcesBalancedAllocation:
    """Prefers nodes whose cpu and memory would be used to a like degree. Pods without requests have no opinion."""

    name = "NodeResourcesBalancedAllocation"
    weight = 1

    def score(self, table: NodeTable, pod: PodInfo, feasible: BoolArray) -> IntArray | None:
        if not pod.requests.get("cpu") and not pod.requests.get("memory"):
            return None
        fractions = []
        for row, resource in ((0, "cpu"), (1, "memory")):
            capacity = np.maximum(table.allocatable[row], 1)
            fractions.append(np.minimum((table.used[row] + pod.requests.get(resource, 0)) / capacity, 1.0))
        # The standard deviation of two fractions is half their distance.
        deviation = np.abs(fractions[0] - fractions[1]) / 2
        score: IntArray = ((1 - deviation) * MAX_NODE_SCORE).astype(np.int64)
        return score


class ImageLocality:
    """Prefers nodes that have the pod's images; large images on few nodes count less (spread factor)."""

    name = "ImageLocality"
    weight = 1
    _LOW = 23 * 1024 * 1024
    _HIGH = 1000 * 1024 * 1024

    def score(self, table: NodeTable, pod: PodInfo, feasible: BoolArray) -> IntArray | None:
        have = np.zeros(table.capacity, np.int64)
        nodes = max(len(table), 1)
        found = False
        for image in pod.images:
            places = table.image_nodes.get(image) or table.image_nodes.get(_with_tag(image))
            if places:
                found = True
                for slot, size in places.items():
                    have[slot] += size * len(places) // nodes
        if not found:
            return None
        ceiling = self._HIGH * max(len(pod.images), 1)
        bounded = np.clip(have, self._LOW, ceiling)
        scaled: IntArray = ((bounded - self._LOW) * MAX_NODE_SCORE // (ceiling - self._LOW)).astype(np.int64)
        return scaled


def _with_tag(image: str) -> str:
    last = image.rpartition("/")[2]
    return image if ":" in last or "@" in image else f"{image}:latest"
