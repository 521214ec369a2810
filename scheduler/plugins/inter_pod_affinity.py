"""Affinity and anti-affinity between pods, by topology domain.

A domain is the value of a node label. "How many matching pods are in this node's domain" is a count per node summed by
domain number (bincount) and spread back to the nodes: three numpy calls whatever the number of nodes.
"""

from __future__ import annotations

import numpy as np

from scheduler.framework import MAX_NODE_SCORE, Refusal
from scheduler.label_index import ABSENT
from scheduler.node_table import BoolArray, IntArray, NodeTable
from scheduler.pod_info import PodInfo

_AFFINITY = "node(s) didn't match pod affinity rules"
_ANTI_AFFINITY = "node(s) didn't match pod anti-affinity rules"
_EXISTING = "node(s) didn't satisfy existing pods anti-affinity rules"


def by_domain(table: NodeTable, topology_key: str, per_node: IntArray) -> tuple[IntArray, BoolArray]:
    """(sum over the node's domain, whether the node has the key), per slot."""
    column = table.labels.column(topology_key)
    codes = column.codes
    has = (codes != ABSENT) & table.alive
    if not column.size:
        return np.zeros(table.capacity, np.int64), has
    sums = np.bincount(codes[has], weights=per_node[has], minlength=column.size).astype(np.int64)
    return np.where(has, sums[np.maximum(codes, 0)], 0), has


class InterPodAffinity:
    name = "InterPodAffinity"
    static = False
    weight = 2

    def filter(self, table: NodeTable, pod: PodInfo) -> BoolArray | None:
        masks = [self._existing(table, pod), self._affinity(table, pod), self._anti(table, pod)]
        present = [mask for mask in masks if mask is not None]
        if not present:
            return None
        mask: BoolArray = np.logical_and.reduce(present)
        return mask

    def refusal(self, table: NodeTable, pod: PodInfo, slot: int) -> Refusal:
        affinity = self._affinity(table, pod)
        if affinity is not None and not affinity[slot]:
            return Refusal((_AFFINITY,), unresolvable=True)
        anti = self._anti(table, pod)
        if anti is not None and not anti[slot]:
            return Refusal((_ANTI_AFFINITY,))
        return Refusal((_EXISTING,))

    def _affinity(self, table: NodeTable, pod: PodInfo) -> BoolArray | None:
        if not pod.required_affinity:
            return None
        terms = tuple(term.term for term in pod.required_affinity)
        matching = table.counter(terms)
        mask = table.alive.copy()
        reached = False
        for term in pod.required_affinity:
            counts, has = by_domain(table, term.topology_key, matching)
            reached |= bool((counts > 0).any())
            mask &= has & (counts > 0)
        if not reached and all(term.matches(pod, table.namespace_labels) for term in terms):
            # The first pod of a group that wants to be together may start it, where all its keys exist.
            mask = table.alive.copy()
            for term in pod.required_affinity:
                mask &= table.labels.column(term.topology_key).codes != ABSENT
        return mask

    def _anti(self, table: NodeTable, pod: PodInfo) -> BoolArray | None:
        mask: BoolArray | None = None
        for term in pod.required_anti:
            counts, _ = by_domain(table, term.topology_key, table.counter((term.term,)))
            mask = counts == 0 if mask is None else mask & (counts == 0)
        return mask

    def _existing(self, table: NodeTable, pod: PodInfo) -> BoolArray | None:
        mask: BoolArray | None = None
        for (term, topology_key), owners in table.anti_terms.items():
            if term.matches(pod, table.namespace_labels):
                counts, _ = by_domain(table, topology_key, owners)
                mask = counts == 0 if mask is None else mask & (counts == 0)
        return mask

    def score(self, table: NodeTable, pod: PodInfo, feasible: BoolArray) -> IntArray | None:
        raw: IntArray | None = None
        for preferred in pod.preferred:
            counts, _ = by_domain(table, preferred.topology_key, table.counter((preferred.term,)))
            raw = counts * preferred.weight if raw is None else raw + counts * preferred.weight
        for (term, topology_key), weights in table.soft_terms.items():
            if term.matches(pod, table.namespace_labels):
                sums, _ = by_domain(table, topology_key, weights)
                raw = sums if raw is None else raw + sums
        if raw is None:
            return None
        among = raw[feasible]
        low, high = int(among.min(initial=0)), int(among.max(initial=0))
        if high == low:
            return np.zeros(table.capacity, np.int64)
        return (raw - low) * MAX_NODE_SCORE // (high - low)
