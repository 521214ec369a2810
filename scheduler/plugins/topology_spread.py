"""Topology spread: the difference in matching pods between domains stays within ``maxSkew``."""

from __future__ import annotations

import math

import numpy as np

from scheduler.framework import MAX_NODE_SCORE, Refusal
from scheduler.label_index import ABSENT
from scheduler.node_table import BoolArray, IntArray, NodeTable
from scheduler.plugins.inter_pod_affinity import by_domain
from scheduler.plugins.node_constraints import TaintToleration, required_nodes
from scheduler.pod_info import PodInfo, SpreadConstraint

_SKEW = "node(s) didn't match pod topology spread constraints"
_MISSING = "node(s) didn't match pod topology spread constraints (missing required label)"
HOSTNAME = "kubernetes.io/hostname"


class PodTopologySpread:
    name = "PodTopologySpread"
    static = False
    weight = 2

    def filter(self, table: NodeTable, pod: PodInfo) -> BoolArray | None:
        hard = [constraint for constraint in pod.spread if constraint.hard]
        if not hard:
            return None
        mask = np.ones(table.capacity, np.bool_)
        keyed = _has_keys(table, hard)
        for constraint in hard:
            mask &= self._within(table, pod, constraint, keyed)
        return mask & keyed

    def refusal(self, table: NodeTable, pod: PodInfo, slot: int) -> Refusal:
        hard = [constraint for constraint in pod.spread if constraint.hard]
        for constraint in hard:
            if table.labels.column(constraint.topology_key).codes[slot] == ABSENT:
                return Refusal((_MISSING,), unresolvable=True)
        return Refusal((_SKEW,))

    def _within(self, table: NodeTable, pod: PodInfo, constraint: SpreadConstraint, keyed: BoolArray) -> BoolArray:
        column = table.labels.column(constraint.topology_key)
        counted = table.alive & keyed & _eligible(table, pod, constraint)
        per_node = np.where(counted, table.counter((constraint.term,), living=True), 0)
        counts, _ = by_domain(table, constraint.topology_key, per_node)
        domains = np.unique(column.codes[counted])
        lowest = 0
        if len(domains) >= constraint.min_domains and len(domains):
            sums = np.bincount(column.codes[counted], weights=per_node[counted], minlength=column.size)
            lowest = int(sums[domains].min())
        own = 1 if constraint.term.matches(pod, table.namespace_labels) else 0
        return counts + own - lowest <= constraint.max_skew

    def score(self, table: NodeTable, pod: PodInfo, feasible: BoolArray) -> IntArray | None:
        soft = [constraint for constraint in pod.spread if not constraint.hard]
        if not soft or not feasible.any():
            return None
        keyed = feasible & _has_keys(table, soft)
        total = np.zeros(table.capacity, np.float64)
        for constraint in soft:
            counted = table.alive & _has_keys(table, soft) & _eligible(table, pod, constraint)
            per_node = np.where(counted, table.counter((constraint.term,), living=True), 0)
            counts, _ = by_domain(table, constraint.topology_key, per_node)
            codes = table.labels.column(constraint.topology_key).codes
            size = int(keyed.sum()) if constraint.topology_key == HOSTNAME else len(np.unique(codes[keyed]))
            total += counts * math.log(size + 2) + (constraint.max_skew - 1)
        raw = np.rint(total).astype(np.int64)
        among = raw[keyed]
        if not len(among):
            return np.zeros(table.capacity, np.int64)
        low, high = int(among.min()), int(among.max())
        if high == 0:
            return np.where(keyed, MAX_NODE_SCORE, 0)
        return np.where(keyed, (high + low - raw) * MAX_NODE_SCORE // high, 0)


def _has_keys(table: NodeTable, constraints: list[SpreadConstraint]) -> BoolArray:
    mask = np.ones(table.capacity, np.bool_)
    for constraint in constraints:
        mask &= table.labels.column(constraint.topology_key).codes != ABSENT
    return mask


def _eligible(table: NodeTable, pod: PodInfo, constraint: SpreadConstraint) -> BoolArray:
    """Nodes whose pods count for a constraint: by default those the pod's node affinity admits."""
    mask = np.ones(table.capacity, np.bool_)
    if constraint.honor_affinity:
        wanted = required_nodes(table, pod)
        if wanted is not None:
            mask &= wanted
    if constraint.honor_taints:
        untainted = TaintToleration().filter(table, pod)
        if untainted is not None:
            mask &= untainted
    return mask
