"""Preemption: which node would take the pod if some pods of lower priority left, and which pods these are.

Pure: the table is changed while a node is tried out and is as before when the function returns. The rules are
upstream's: as few budget violations as possible, then the lowest highest-priority victim, the smallest sum of
priorities, the fewest victims, the youngest of the oldest victims.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from scheduler.cycle import Profile, Unfit
from scheduler.node_table import NodeTable
from scheduler.pod_info import PodInfo

NOT_HELPFUL = "Preemption is not helpful for scheduling"
NO_VICTIMS = "No preemption victims found for incoming pod"
MAX_CANDIDATES = 100


@dataclass(frozen=True)
class Preemption:
    """Evict ``victims`` from ``node``. ``node`` "" means nothing can be done, and ``message`` says why."""

    node: str
    victims: tuple[PodInfo, ...]
    message: str


#: (pod) -> whether its eviction would violate a disruption budget, given those already chosen.
BudgetCheck = Callable[[Sequence[PodInfo]], int]


def plan_preemption(
    profile: Profile, table: NodeTable, pod: PodInfo, unfit: Unfit, violations: BudgetCheck = lambda victims: 0
) -> Preemption:
    """The best node to preempt on, or upstream's sentence about why not."""
    if pod.spec.get("preemptionPolicy") == "Never":
        return Preemption("", (), "preemption: not eligible due to preemptionPolicy=Never.")
    nominated = (pod.obj.get("status") or {}).get("nominatedNodeName")
    if nominated and nominated in table.index:
        there = table.pods[table.index[nominated]].values()
        if any(other.terminating and other.priority < pod.priority for other in there):
            return Preemption("", (), "preemption: not eligible due to a terminating pod on the nominated node.")
    reasons: Counter[str] = Counter()
    if unfit.unhelpful:
        reasons[NOT_HELPFUL] = unfit.unhelpful
    best: tuple[tuple[Any, ...], str, tuple[PodInfo, ...]] | None = None
    for slot in unfit.candidates[:MAX_CANDIDATES]:
        found = _victims_on(profile, table, pod, slot, violations)
        if isinstance(found, str):
            reasons[found] += 1
            continue
        rank = _rank(found, violations)
        if best is None or rank < best[0]:
            best = (rank, table.names[slot], found)
    if best is not None:
        return Preemption(best[1], best[2], "")
    texts = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
    return Preemption("", (), f"preemption: 0/{unfit.nodes} nodes are available: {texts}.")


def _victims_on(
    profile: Profile, table: NodeTable, pod: PodInfo, slot: int, violations: BudgetCheck
) -> tuple[PodInfo, ...] | str:
    node = table.names[slot]
    lower = [other for other in table.pods[slot].values() if other.priority < pod.priority]
    if not lower:
        return NO_VICTIMS
    removed = list(lower)
    for other in removed:
        table.remove_pod(other, node)
    try:
        if not profile.feasible(table, pod)[slot]:
            refusal = profile.explain(table, pod)
            return _first_reason(profile, table, pod, slot) or ", ".join(refusal.reasons)
        # Give back as many as possible, the most important first; those guarded by a budget before the others.
        guarded = [other for other in lower if violations((other,))]
        free = [other for other in lower if other not in guarded]
        victims = []
        for other in [*sorted(guarded, key=_importance), *sorted(free, key=_importance)]:
            table.add_pod(other, node)
            removed.remove(other)
            if not profile.feasible(table, pod)[slot]:
                table.remove_pod(other, node)
                removed.append(other)
                victims.append(other)
        return tuple(victims)
    finally:
        for other in removed:
            table.add_pod(other, node)


def _first_reason(profile: Profile, table: NodeTable, pod: PodInfo, slot: int) -> str:
    for plugin in profile.filters:
        passed = plugin.filter(table, pod)
        if passed is not None and not passed[slot]:
            return ", ".join(plugin.refusal(table, pod, slot).reasons)
    return ""


def _importance(pod: PodInfo) -> tuple[int, str]:
    """Sort key: more important first (higher priority, then longer running)."""
    return -pod.priority, pod.start_time or "~"


def _rank(victims: tuple[PodInfo, ...], violations: BudgetCheck) -> tuple[Any, ...]:
    highest = max((victim.priority for victim in victims), default=-(2**31))
    oldest = min((victim.start_time for victim in victims if victim.priority == highest), default="")
    return (
        violations(victims), highest, sum(victim.priority + 2**31 for victim in victims), len(victims),
        tuple(-ord(char) for char in oldest),
    )  # fmt: skip
