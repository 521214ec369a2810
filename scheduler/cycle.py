"""One decision: ``schedule(table, pod)`` -> a node, or why there is none. Pure and vectorised over nodes.

Filters run in upstream's order; the first that refuses a node gives the reason that is reported for it. Scores are
weighted and summed; of equals one is chosen by the given random number, so that equal nodes fill evenly.

Most pods come in groups that nothing tells apart (one Deployment), and most decisions change one node. A
:class:`Verdicts` cache keeps the feasible mask and the total score per signature and repairs only the slots touched
since, which makes the usual decision one ``argmax``. It is used only when no count over other pods plays a part.
"""

from __future__ import annotations

import random
from collections import Counter, OrderedDict
from dataclasses import dataclass

import numpy as np

from scheduler.framework import FilterPlugin, ScorePlugin
from scheduler.node_table import BoolArray, IntArray, NodeTable
from scheduler.plugins.inter_pod_affinity import InterPodAffinity
from scheduler.plugins.node_constraints import NodeAffinity, NodeUnschedulable, TaintToleration
from scheduler.plugins.node_ports import NodePorts
from scheduler.plugins.node_resources import ImageLocality, NodeResourcesBalancedAllocation, NodeResourcesFit
from scheduler.plugins.topology_spread import PodTopologySpread
from scheduler.pod_info import PodInfo

NO_NODES = "no nodes available to schedule pods"
REMEMBERED_SIGNATURES = 256


@dataclass(frozen=True)
class Unfit:
    """No node. ``reasons`` counts the words over nodes; ``candidates`` are slots where evicting pods might help.

    ``hindrance`` is what rules out every node at once (a claim that does not exist).
    """

    nodes: int
    reasons: Counter[str]
    plugins: frozenset[str]
    candidates: tuple[int, ...] = ()
    unhelpful: int = 0
    hindrance: str = ""

    def message(self, extra: str = "") -> str:
        """Upstream's FailedScheduling sentence; ``extra`` is what preemption had to say."""
        if not self.nodes:
            return NO_NODES
        texts = sorted(f"{count} {reason}" for reason, count in self.reasons.items())
        sentence = f"0/{self.nodes} nodes are available: {self.hindrance or ', '.join(texts)}."
        return f"{sentence} {extra}" if extra else sentence


@dataclass(slots=True)
class _Verdict:
    version: int
    position: int
    feasible: BoolArray
    score: IntArray
    static_ok: BoolArray
    static_score: IntArray


class Profile:
    """The plugins of a scheduler, in order. The default is upstream's default profile."""

    def __init__(
        self, filters: list[FilterPlugin] | None = None, scores: list[ScorePlugin] | None = None
    ) -> None:
        taints, affinity, fit = TaintToleration(), NodeAffinity(), NodeResourcesFit()
        spread, pods = PodTopologySpread(), InterPodAffinity()
        self.filters: list[FilterPlugin] = filters if filters is not None else [
            NodeUnschedulable(), taints, affinity, NodePorts(), fit, spread, pods,
        ]  # fmt: skip
        self.scores: list[ScorePlugin] = scores if scores is not None else [
            taints, affinity, fit, NodeResourcesBalancedAllocation(), ImageLocality(), spread, pods,
        ]  # fmt: skip
        self.fit = fit
        self.balanced = NodeResourcesBalancedAllocation()
        self._verdicts: OrderedDict[bytes, _Verdict] = OrderedDict()

    def schedule(self, table: NodeTable, pod: PodInfo, rng: random.Random) -> str | Unfit:
        """The name of the node, or why none."""
        if not len(table):
            return Unfit(0, Counter(), frozenset())
        if self._is_simple(table, pod):
            feasible, score = self._cached(table, pod)
            total: IntArray | None = score
        else:
            feasible = self.feasible(table, pod)
            total = self.score(table, pod, feasible) if feasible.any() else None
        if total is None or not feasible.any():
            return self.explain(table, pod)
        ranked = np.where(feasible, total, -1)
        best = np.flatnonzero(ranked == ranked.max())
        return table.names[int(best[rng.randrange(len(best))] if len(best) > 1 else best[0])]

    def feasible(self, table: NodeTable, pod: PodInfo) -> BoolArray:
        mask = table.alive.copy()
        for plugin in self.filters:
            passed = plugin.filter(table, pod)
            if passed is not None:
                mask &= passed
        return mask

    def score(self, table: NodeTable, pod: PodInfo, feasible: BoolArray) -> IntArray:
        total = np.zeros(table.capacity, np.int64)
        for plugin in self.scores:
            points = plugin.score(table, pod, feasible)
            if points is not None:
                total += points * plugin.weight
        return total

    def explain(self, table: NodeTable, pod: PodInfo) -> Unfit:
        """Why each node was refused: the slow path, taken only for pods that fit nowhere."""
        reasons: Counter[str] = Counter()
        plugins: set[str] = set()
        candidates: list[int] = []
        unhelpful = 0
        left = table.alive.copy()
        for plugin in self.filters:
            passed = plugin.filter(table, pod)
            if passed is None:
                continue
            for slot in np.flatnonzero(left & ~passed).tolist():
                refusal = plugin.refusal(table, pod, slot)
                reasons.update(refusal.reasons)
                plugins.add(plugin.name)
                if refusal.unresolvable:
                    unhelpful += 1
                else:
                    candidates.append(slot)
            left &= passed
        return Unfit(len(table), reasons, frozenset(plugins), tuple(candidates), unhelpful)

    # --- the cache of verdicts ----------------------------------------------------------------------------------

    @staticmethod
    def _is_simple(table: NodeTable, pod: PodInfo) -> bool:
        return not (
            pod.has_terms or pod.spread or pod.host_ports or table.anti_terms or table.soft_terms
            or pod.claims
        )

    def _cached(self, table: NodeTable, pod: PodInfo) -> tuple[BoolArray, IntArray]:
        verdict = self._verdicts.get(pod.signature)
        if verdict is None or verdict.version != table.version:
            verdict = self._fresh(table, pod)
            self._verdicts[pod.signature] = verdict
            if len(self._verdicts) > REMEMBERED_SIGNATURES:
                self._verdicts.popitem(last=False)
            return verdict.feasible, verdict.score
        touched, verdict.position = table.touched_since(verdict.position)
        if touched:
            self._repair(table, pod, verdict, touched)
        return verdict.feasible, verdict.score

    def _fresh(self, table: NodeTable, pod: PodInfo) -> _Verdict:
        static_ok = table.alive.copy()
        for plugin in self.filters:
            if plugin.static:
                passed = plugin.filter(table, pod)
                if passed is not None:
                    static_ok &= passed
        fits = self.fit.filter(table, pod)
        feasible = static_ok if fits is None else static_ok & fits
        static_score = np.zeros(table.capacity, np.int64)
        score = np.zeros(table.capacity, np.int64)
        for scorer in self.scores:
            # Normalisation over the statically possible nodes: what is full now may be free for the next pod.
            points = scorer.score(table, pod, static_ok)
            if points is not None:
                target = score if scorer.name in (self.fit.name, self.balanced.name) else static_score
                target += points * scorer.weight
        return _Verdict(table.version, table.position(), feasible, score + static_score, static_ok, static_score)

    def _repair(self, table: NodeTable, pod: PodInfo, verdict: _Verdict, touched: list[int]) -> None:
        slots = sorted(set(touched))
        if len(slots) * 4 > len(table):
            fresh = self._fresh(table, pod)
            verdict.feasible, verdict.score, verdict.position = fresh.feasible, fresh.score, fresh.position
            return
        for slot in slots:
            fits = bool(verdict.static_ok[slot]) and fits_slot(table, pod, slot)
            verdict.feasible[slot] = fits
            if fits:
                verdict.score[slot] = verdict.static_score[slot] + resource_score(table, pod, slot)


def fits_slot(table: NodeTable, pod: PodInfo, slot: int) -> bool:
    """NodeResourcesFit for one node."""
    if table.pod_count[slot] >= table.pod_limit[slot]:
        return False
    for resource, amount in pod.requests.items():
        row = table.resource_rows.get(resource)
        if row is None:
            return not amount
        if amount and table.allocatable[row, slot] - table.used[row, slot] < amount:
            return False
    return True


def resource_score(table: NodeTable, pod: PodInfo, slot: int) -> int:
    """LeastAllocated plus BalancedAllocation for one node; equal to what the plugins give for its slot."""
    cpu, memory = int(table.allocatable[0, slot]), int(table.allocatable[1, slot])
    points, kinds = 0, 0
    for capacity, used, asked in (
        (cpu, int(table.scoring_used[0, slot]), pod.non_zero_cpu),
        (memory, int(table.scoring_used[1, slot]), pod.non_zero_memory),
    ):
        if capacity > 0:
            points += max(capacity - used - asked, 0) * 100 // capacity
            kinds += 1
    least = points // max(kinds, 1)
    asked_cpu, asked_memory = pod.requests.get("cpu", 0), pod.requests.get("memory", 0)
    if not asked_cpu and not asked_memory:
        return least
    cpu_share = min((int(table.used[0, slot]) + asked_cpu) / max(cpu, 1), 1.0)
    memory_share = min((int(table.used[1, slot]) + asked_memory) / max(memory, 1), 1.0)
    return least + int((1 - abs(cpu_share - memory_share) / 2) * 100)
