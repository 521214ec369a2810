"""The spread that nobody asked for: replicas of one owner or Service are kept apart, softly.

Upstream's system default for pods without constraints of their own: hosts with skew 3 and zones with skew 5, both
ScheduleAnyway, over the pods that the pod's Services and its owner select.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from machinery.meta.objects import controller_of
from machinery.meta.selectors import LabelSelector, Requirement, label_selector_from_dict, label_selector_from_map
from scheduler.pod_info import PodInfo, SpreadConstraint, Term

Object = dict[str, Any]
_DEFAULTS = (("kubernetes.io/hostname", 3), ("topology.kubernetes.io/zone", 5))


def with_default_spread(pod: PodInfo, services: Iterable[Object], owner: Object | None) -> PodInfo:
    """``pod`` with the default constraints when it has none and something selects it."""
    if pod.spread:
        return pod
    requirements: list[Requirement] = []
    for service in services:
        selector = service["spec"].get("selector")
        if selector and all(pod.labels.get(key) == value for key, value in selector.items()):
            requirements += label_selector_from_map(selector).requirements
    if owner is not None:
        selector = owner["spec"].get("selector")
        if owner.get("kind") == "ReplicationController":
            requirements += label_selector_from_map(selector).requirements
        elif selector:
            requirements += label_selector_from_dict(selector).requirements
    if not requirements:
        return pod
    term = Term(LabelSelector(dict.fromkeys(requirements)), frozenset((pod.namespace,)))
    constraints = tuple(SpreadConstraint(term, key, skew, hard=False) for key, skew in _DEFAULTS)
    return replace(pod, spread=constraints, signature=b"")


def owner_key(pod: Object) -> tuple[str, str] | None:
    """(plural, key) of the controller that spreads its pods, if it is of a kind that does."""
    reference = controller_of(pod)
    if reference is None:
        return None
    plural = {
        "ReplicaSet": "replicasets", "StatefulSet": "statefulsets", "ReplicationController": "replicationcontrollers",
    }.get(reference["kind"])  # fmt: skip
    return (plural, f"{pod['metadata'].get('namespace', '')}/{reference['name']}") if plural else None
