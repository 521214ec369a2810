"""Filters and scores that look at the node's own face: cordon, taints, labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scheduler.framework import MAX_NODE_SCORE, Refusal
from scheduler.node_table import BoolArray, IntArray, NodeTable, Taint
from scheduler.pod_info import PodInfo

UNSCHEDULABLE_TAINT: Taint = ("node.kubernetes.io/unschedulable", "", "NoSchedule")


def tolerates(toleration: Mapping[str, Any], taint: Taint) -> bool:
    """Upstream's ``Toleration.ToleratesTaint``."""
    key, value, effect = taint
    if toleration.get("effect") and toleration["effect"] != effect:
        return False
    if toleration.get("key") and toleration["key"] != key:
        return False
    operator = toleration.get("operator") or "Equal"
    if operator == "Exists":
        return True
    if not toleration.get("key"):
        return False
    return operator == "Equal" and (toleration.get("value") or "") == value


def tolerated(tolerations: Sequence[Mapping[str, Any]], taint: Taint) -> bool:
    return any(tolerates(toleration, taint) for toleration in tolerations)


class NodeUnschedulable:
    """Cordoned nodes take only pods that tolerate the taint a cordon stands for."""

    name = "NodeUnschedulable"
    static = True

    def filter(self, table: NodeTable, pod: PodInfo) -> BoolArray | None:
        if not table.unschedulable.any() or tolerated(pod.spec.get("tolerations") or (), UNSCHEDULABLE_TAINT):
            return None
        return ~table.unschedulable

    def refusal(self, table: NodeTable, pod: PodInfo, slot: int) -> Refusal:
        return Refusal(("node(s) were unschedulable",), unresolvable=True)


class TaintToleration:
    """Hard taints filter, PreferNoSchedule taints count against a node. Computed per distinct set of taints."""

    name = "TaintToleration"
    static = True
    weight = 3

    def filter(self, table: NodeTable, pod: PodInfo) -> BoolArray | None:
        if len(table.taint_sets) == 1:
            return None
        tolerations = pod.spec.get("tolerations") or ()
        good = [
            all(taint[2] == "PreferNoSchedule" or tolerated(tolerations, taint) for taint in taints)
            for taints in table.taint_sets
        ]
        return None if all(good) else np.array(good, np.bool_)[table.taint_code]

    def refusal(self, table: NodeTable, pod: PodInfo, slot: int) -> Refusal:
        return Refusal(("node(s) had untolerated taint(s)",), unresolvable=True)

    def score(self, table: NodeTable, pod: PodInfo, feasible: BoolArray) -> IntArray | None:
        tolerations = pod.spec.get("tolerations") or ()
        counts = [
            sum(taint[2] == "PreferNoSchedule" and not tolerated(tolerations, taint) for taint in taints)
            for taints in table.taint_sets
        ]
        if not any(counts):
            return None
        return normalize(np.array(counts, np.int64)[table.taint_code], feasible, reverse=True)


class NodeAffinity:
    """nodeSelector and node affinity, required and preferred."""

    name = "NodeAffinity"
    static = True
    weight = 2

    def filter(self, table: NodeTable, pod: PodInfo) -> BoolArray | None:
        return required_nodes(table, pod)

    def refusal(self, table: NodeTable, pod: PodInfo, slot: int) -> Refusal:
        named = named_nodes(pod)
        if named is not None and table.names[slot] not in named:
            return Refusal(("node(s) didn't satisfy plugin(s) [NodeAffinity]",), unresolvable=True)
        return Refusal(("node(s) didn't match Pod's node affinity/selector",), unresolvable=True)

    def score(self, table: NodeTable, pod: PodInfo, feasible: BoolArray) -> IntArray | None:
        affinity = (pod.spec.get("affinity") or {}).get("nodeAffinity") or {}
        preferred = affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        if not preferred:
            return None
        raw = np.zeros(table.capacity, np.int64)
        for term in preferred:
            mask = term_mask(table, term.get("preference") or {})
            if mask is not None:
                raw += mask * int(term.get("weight") or 0)
        return normalize(raw, feasible)


def required_nodes(table: NodeTable, pod: PodInfo) -> BoolArray | None:
    """Nodes that meet the pod's nodeSelector and required node affinity; None: all."""
    mask: BoolArray | None = None
    for key, value in (pod.spec.get("nodeSelector") or {}).items():
        found = table.labels.requirement(key, "In", [value])
        mask = found if mask is None else mask & found
    affinity = (pod.spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is not None:
        any_term = np.zeros(table.capacity, np.bool_)
        for term in required.get("nodeSelectorTerms") or ():
            found_term = term_mask(table, term)
            if found_term is not None:
                any_term |= found_term
        mask = any_term if mask is None else mask & any_term
    return mask


def named_nodes(pod: PodInfo) -> set[str] | None:
    """The nodes named by matchFields when every term names some; None when any node may match."""
    affinity = (pod.spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    names: set[str] = set()
    terms = required.get("nodeSelectorTerms") or ()
    for term in terms:
        fields = [f for f in term.get("matchFields") or () if f["key"] == "metadata.name" and f["operator"] == "In"]
        if not fields:
            return None
        names.update(*(field.get("values") or () for field in fields))
    return names if terms else None


def term_mask(table: NodeTable, term: Mapping[str, Any]) -> BoolArray | None:
    """A node-selector term; an empty one matches nothing (None)."""
    mask: BoolArray | None = None
    for requirement in term.get("matchExpressions") or ():
        found = table.labels.requirement(requirement["key"], requirement["operator"], requirement.get("values") or [])
        mask = found if mask is None else mask & found
    for requirement in term.get("matchFields") or ():
        found = np.zeros(table.capacity, np.bool_)
        for value in requirement.get("values") or ():
            if value in table.index:
                found[table.index[value]] = True
        found = ~found if requirement["operator"] == "NotIn" else found
        mask = found if mask is None else mask & found
    return mask


def normalize(raw: IntArray, feasible: BoolArray, *, reverse: bool = False) -> IntArray:
    """Scale to 0..100 by the largest raw score among the feasible nodes (upstream's DefaultNormalizeScore)."""
    top = int(raw[feasible].max(initial=0))
    if top == 0:
        return np.full(len(raw), MAX_NODE_SCORE if reverse else 0, np.int64)
    scaled = raw * MAX_NODE_SCORE // top
    return MAX_NODE_SCORE - scaled if reverse else scaled
