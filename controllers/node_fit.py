"""Whether a pod may be on a node: name, node selector, node affinity, taints. Pure.

DaemonSets decide by this where their pods belong before any scheduler sees them, and the taint manager who must leave.
Resources are the scheduler's affair and not looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from machinery.meta.objects import labels_of

Object = dict[str, Any]


def tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    operator = toleration.get("operator") or "Equal"
    if operator == "Exists":
        return True
    if operator in ("Lt", "Gt"):
        try:
            wanted, found = int(toleration.get("value") or ""), int(taint.get("value") or "")
        except ValueError:
            return False
        return found < wanted if operator == "Lt" else found > wanted
    return (toleration.get("value") or "") == (taint.get("value") or "")


def untolerated(taints: Iterable[Object], tolerations: Sequence[Object], effects: Iterable[str]) -> Object | None:
    """The first taint with one of the effects that nothing tolerates."""
    wanted = set(effects)
    for taint in taints:
        if taint.get("effect") in wanted and not any(tolerates(item, taint) for item in tolerations):
            return taint
    return None


def matches_expression(expression: Object, values: dict[str, str]) -> bool:
    operator, key = expression["operator"], expression["key"]
    found = values.get(key)
    wanted = expression.get("values") or []
    if operator == "In":
        return found is not None and found in wanted
    if operator == "NotIn":
        return found is None or found not in wanted
    if operator == "Exists":
        return found is not None
    if operator == "DoesNotExist":
        return found is None
    if operator in ("Gt", "Lt"):
        try:
            left, right = int(found or ""), int(wanted[0])
        except (ValueError, IndexError):
            return False
        return left > right if operator == "Gt" else left < right
    return False


def matches_node_selector(selector: Object, node: Object) -> bool:
    """Terms are alternatives; a term without any condition matches nothing."""
    labels = labels_of(node)
    fields = {"metadata.name": node["metadata"]["name"]}
    for term in selector.get("nodeSelectorTerms") or ():
        expressions, field_expressions = term.get("matchExpressions") or (), term.get("matchFields") or ()
        if not expressions and not field_expressions:
            continue
        if all(matches_expression(item, labels) for item in expressions) and all(
            matches_expression(item, fields) for item in field_expressions
        ):
            return True
    return False


def matches_node(pod_spec: Object, node: Object) -> bool:
    """Node name, node selector and required node affinity."""
    if pod_spec.get("nodeName") and pod_spec["nodeName"] != node["metadata"]["name"]:
        return False
    wanted = pod_spec.get("nodeSelector") or {}
    if not wanted.items() <= labels_of(node).items():
        return False
    affinity = ((pod_spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    return affinity is None or matches_node_selector(affinity, node)


def taints_of(node: Object) -> list[Object]:
    return node.get("spec", {}).get("taints") or []
