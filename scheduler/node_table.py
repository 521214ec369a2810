"""All nodes as columns: the snapshot that decisions are made on, kept up to date in place.

A node has a *slot*, an index into every column. Slots of removed nodes are reused; ``alive`` says which hold a node.

Invariants:

* ``used[r, slot]`` = sum of requests of the pods in ``pods[slot]``; likewise the scoring columns and ``pod_count``.
* every counter and weight column equals what a recount over ``pods`` would give.
* ``version`` changes when anything but resource use changed (labels, taints, ports, pods with terms …);
  ``touched`` lists the slots whose resource use changed, in order: a cached verdict knows how far it has read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from scheduler.label_index import LabelIndex
from scheduler.pod_info import AffinityTerm, PodInfo, Term
from scheduler.resources import parse_resources

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Object = dict[str, Any]
Taint = tuple[str, str, str]

HARD_AFFINITY_WEIGHT = 1
MAX_COUNTERS = 512
FIRST_CAPACITY = 64


class NodeTable:
    """Columns over slots; see the module's head."""

    def __init__(self) -> None:
        capacity = FIRST_CAPACITY
        self.capacity = capacity
        self.index: dict[str, int] = {}
        self.names: list[str] = [""] * capacity
        self.nodes: list[Object | None] = [None] * capacity
        self.pods: list[dict[str, PodInfo]] = [{} for _ in range(capacity)]
        self.labels = LabelIndex(capacity)
        self.alive: BoolArray = np.zeros(capacity, np.bool_)
        self.unschedulable: BoolArray = np.zeros(capacity, np.bool_)
        self.taint_code: IntArray = np.zeros(capacity, np.int64)
        self.taint_sets: list[tuple[Taint, ...]] = [()]
        self._taint_numbers: dict[tuple[Taint, ...], int] = {(): 0}
        self.resource_rows: dict[str, int] = {"cpu": 0, "memory": 1, "ephemeral-storage": 2}
        self.allocatable: IntArray = np.zeros((3, capacity), np.int64)
        self.used: IntArray = np.zeros((3, capacity), np.int64)
        self.scoring_used: IntArray = np.zeros((2, capacity), np.int64)
        self.pod_limit: IntArray = np.zeros(capacity, np.int64)
        self.pod_count: IntArray = np.zeros(capacity, np.int64)
        self.port_users: dict[tuple[str, int], dict[int, dict[str, int]]] = {}
        self.image_nodes: dict[str, dict[int, int]] = {}
        self.namespace_labels: dict[str, Mapping[str, str]] = {}
        self._counters: dict[tuple[tuple[Term, ...], bool], IntArray] = {}
        self.anti_terms: dict[tuple[Term, str], IntArray] = {}
        self.soft_terms: dict[tuple[Term, str], IntArray] = {}
        self._free: list[int] = list(range(capacity - 1, -1, -1))
        self._stray: dict[str, dict[str, PodInfo]] = {}
        self.version = 0
        self.touched: list[int] = []
        self._forgotten = 0

    def __len__(self) -> int:
        return len(self.index)

    # --- nodes --------------------------------------------------------------------------------------------------

    def set_node(self, node: Object) -> None:
        """Add or replace a node; pods already known to run there are taken into account."""
        meta, spec, status = node["metadata"], node.get("spec") or {}, node.get("status") or {}
        name = meta["name"]
        slot = self.index.get(name)
        fresh = slot is None
        if slot is None:
            if not self._free:
                self._grow()
            slot = self._free.pop()
            self.index[name] = slot
            self.names[slot] = name
            self.alive[slot] = True
        before = self.nodes[slot]
        self.nodes[slot] = node
        allocatable = parse_resources(status.get("allocatable"))
        self.pod_limit[slot] = allocatable.pop("pods", 0)
        self.allocatable[:, slot] = 0
        for resource, amount in allocatable.items():
            row = self.row(resource)  # first: a new row is a new array
            self.allocatable[row, slot] = amount
        if fresh or before is None or _identity(before) != _identity(node):
            taints = tuple(
                (t["key"], t.get("value") or "", t["effect"]) for t in spec.get("taints") or () if t.get("effect")
            )
            self.taint_code[slot] = self._taint_number(taints)
            self.unschedulable[slot] = bool(spec.get("unschedulable"))
            self.labels.set(slot, meta.get("labels") or {})
            self._set_images(slot, status.get("images") or ())
            self.version += 1
        self._touch(slot)
        for pod in self._stray.pop(name, {}).values():
            self.add_pod(pod, name)

    def remove_node(self, name: str) -> None:
        slot = self.index.pop(name, None)
        if slot is None:
            return
        homeless = dict(self.pods[slot])
        for pod in homeless.values():
            self.remove_pod(pod, name, slot=slot)
        if homeless:
            self._stray[name] = homeless
        self.names[slot], self.nodes[slot] = "", None
        self.alive[slot] = False
        self.allocatable[:, slot] = 0
        self.pod_limit[slot] = 0
        self.taint_code[slot] = 0
        self.unschedulable[slot] = False
        self.labels.set(slot, {})
        self._set_images(slot, ())
        self._free.append(slot)
        self.version += 1

    def row(self, resource: str) -> int:
        """The row of a resource; a new resource gets a new row of zeros."""
        row = self.resource_rows.get(resource)
        if row is None:
            row = len(self.resource_rows)
            self.resource_rows[resource] = row
            empty = np.zeros((1, self.capacity), np.int64)
            self.allocatable = np.concatenate([self.allocatable, empty])
            self.used = np.concatenate([self.used, empty])
            self.version += 1
        return row

    # --- pods ---------------------------------------------------------------------------------------------------

    def add_pod(self, pod: PodInfo, node_name: str) -> None:
        """The pod occupies the node (bound or assumed). Adding again replaces."""
        slot = self.index.get(node_name)
        if slot is None:
            self._stray.setdefault(node_name, {})[pod.key] = pod
            return
        there = self.pods[slot].get(pod.key)
        if there is not None:
            self.remove_pod(there, node_name)
        self.pods[slot][pod.key] = pod
        self._count(pod, slot, 1)

    def remove_pod(self, pod: PodInfo, node_name: str, *, slot: int | None = None) -> None:
        if slot is None:
            slot = self.index.get(node_name)
        if slot is None:
            self._stray.get(node_name, {}).pop(pod.key, None)
            return
        there = self.pods[slot].pop(pod.key, None)
        if there is not None:
            self._count(there, slot, -1)

    def _count(self, pod: PodInfo, slot: int, sign: int) -> None:
        for resource, amount in pod.requests.items():
            row = self.row(resource)
            self.used[row, slot] += sign * amount
        self.scoring_used[0, slot] += sign * pod.non_zero_cpu
        self.scoring_used[1, slot] += sign * pod.non_zero_memory
        self.pod_count[slot] += sign
        for protocol, port, address in pod.host_ports:
            addresses = self.port_users.setdefault((protocol, port), {}).setdefault(slot, {})
            addresses[address] = addresses.get(address, 0) + sign
            if not addresses[address]:
                del addresses[address]
        for (terms, living), column in self._counters.items():
            if not (living and pod.terminating) and all(t.matches(pod, self.namespace_labels) for t in terms):
                column[slot] += sign
        for term in pod.required_anti:
            self._weigh(self.anti_terms, term, slot, sign)
        for term in pod.required_affinity:
            self._weigh(self.soft_terms, term, slot, sign * HARD_AFFINITY_WEIGHT)
        for term in pod.preferred:
            self._weigh(self.soft_terms, term, slot, sign * term.weight)
        if pod.host_ports or pod.has_terms:
            self.version += 1
        self._touch(slot)

    def _weigh(self, table: dict[tuple[Term, str], IntArray], term: AffinityTerm, slot: int, weight: int) -> None:
        key = (term.term, term.topology_key)
        column = table.get(key)
        if column is None:
            column = table[key] = np.zeros(self.capacity, np.int64)
        column[slot] += weight
        if not column[slot] and not column.any():
            del table[key]

    def counter(self, terms: Iterable[Term], *, living: bool = False) -> IntArray:
        """Per node, how many pods match ALL terms (``living``: pods being deleted do not count)."""
        key = (tuple(terms), living)
        column = self._counters.pop(key, None)
        if column is None:
            column = np.zeros(self.capacity, np.int64)
            for slot in self.index.values():
                column[slot] = sum(
                    1 for pod in self.pods[slot].values()
                    if not (living and pod.terminating) and all(t.matches(pod, self.namespace_labels) for t in key[0])
                )  # fmt: skip
            if len(self._counters) >= MAX_COUNTERS:
                del self._counters[next(iter(self._counters))]
        self._counters[key] = column
        return column

    def set_namespace(self, name: str, labels: Mapping[str, str]) -> None:
        if self.namespace_labels.get(name) != labels:
            self.namespace_labels[name] = labels
            self._counters.clear()
            self.version += 1

    def remove_namespace(self, name: str) -> None:
        if self.namespace_labels.pop(name, None) is not None:
            self._counters.clear()
            self.version += 1

    # --- reading ------------------------------------------------------------------------------------------------

    def touched_since(self, position: int) -> tuple[list[int], int]:
        """Slots touched after ``position`` and the new position; everything (None-like) is signalled by a stale
        position, for which all slots are returned."""
        end = self._forgotten + len(self.touched)
        if position < self._forgotten:
            return list(range(self.capacity)), end
        return self.touched[position - self._forgotten :], end

    def position(self) -> int:
        return self._forgotten + len(self.touched)

    def where(self, predicate: Callable[[int], bool]) -> BoolArray:
        """A mask made by asking for each living slot; for rare questions only."""
        mask = np.zeros(self.capacity, np.bool_)
        for slot in self.index.values():
            mask[slot] = predicate(slot)
        return mask

    # --- inside -------------------------------------------------------------------------------------------------

    def _touch(self, slot: int) -> None:
        self.touched.append(slot)
        if len(self.touched) > 100_000:
            self._forgotten += 50_000
            del self.touched[:50_000]

    def _taint_number(self, taints: tuple[Taint, ...]) -> int:
        number = self._taint_numbers.get(taints)
        if number is None:
            number = self._taint_numbers[taints] = len(self.taint_sets)
            self.taint_sets.append(taints)
        return number

    def _set_images(self, slot: int, images: Iterable[Object]) -> None:
        for nodes in self.image_nodes.values():
            nodes.pop(slot, None)
        for image in images:
            for name in image.get("names") or ():
                self.image_nodes.setdefault(name, {})[slot] = int(image.get("sizeBytes") or 0)

    def _grow(self) -> None:
        old, new = self.capacity, self.capacity * 2
        pad = new - old

        def wider(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
            shape = (*column.shape[:-1], pad)
            return np.concatenate([column, np.zeros(shape, column.dtype)], axis=-1)

        self.alive, self.unschedulable = wider(self.alive), wider(self.unschedulable)
        self.taint_code, self.pod_limit, self.pod_count = (
            wider(self.taint_code), wider(self.pod_limit), wider(self.pod_count),
        )  # fmt: skip
        self.allocatable, self.used = wider(self.allocatable), wider(self.used)
        self.scoring_used = wider(self.scoring_used)
        for table in (self._counters, self.anti_terms, self.soft_terms):
            for key in table:
                table[key] = wider(table[key])  # type: ignore[index]
        self.labels.grow(new)
        self.names.extend([""] * pad)
        self.nodes.extend([None] * pad)
        self.pods.extend({} for _ in range(pad))
        self._free.extend(range(new - 1, old - 1, -1))
        self.capacity = new
        self.version += 1


def _identity(node: Object) -> tuple[Any, ...]:
    """What besides resources decides where pods go."""
    spec = node.get("spec") or {}
    return (
        node["metadata"].get("labels"), spec.get("taints"), spec.get("unschedulable"),
        (node.get("status") or {}).get("images"),
    )  # fmt: skip
