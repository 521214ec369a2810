"""What happens to one object, given what is known of its owners. Pure.

An owner reference is *solid* (the owner lives), *waiting* (the owner is being deleted in the foreground) or *dangling*
(the owner does not exist). One solid owner keeps the object; without any it goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from controllers.garbagecollector.graph import FOREGROUND, ORPHAN, Graph, Node

Object = dict[str, Any]
State = Literal["solid", "waiting", "dangling"]


@dataclass(frozen=True)
class Decision:
    act: Literal["nothing", "patch", "delete", "foreground", "orphan"]
    owners: tuple[Any, ...] = ()
    """With "patch" (or a delete that breaks a cycle first): the owner references that remain."""
    policy: str = ""
    unblock: bool = False
    """Before deleting: stop blocking owners, for they wait for us while we wait for our dependents (a cycle)."""


NOTHING = Decision("nothing")


def known_state(graph: Graph, node: Node, reference: Object) -> State | None:
    """The state of a reference as far as the graph knows; None: someone must look."""
    uid = reference["uid"]
    owner = graph.nodes.get(uid)
    if owner is None:
        return "dangling" if uid in graph.absent else None
    if not coordinates_match(owner, node, reference):
        return "dangling"
    return "waiting" if owner.deletes_foreground else "solid"


def coordinates_match(owner: Node, dependent: Node, reference: Object) -> bool:
    """A reference names an owner in the dependent's own namespace, or a cluster-scoped one."""
    if owner.namespace and owner.namespace != dependent.namespace:
        return False
    return owner.kind == reference.get("kind") and owner.name == reference.get("name")


def plan_node(graph: Graph, node: Node, states: Mapping[str, State]) -> Decision:
    """``states``: of each of its owner references, by uid."""
    if node.deletes_foreground:
        return Decision("foreground")
    if node.orphans:
        return Decision("orphan")
    if node.deleting or not node.owners:
        return NOTHING
    solid = [ref for ref in node.owners if states[ref["uid"]] == "solid"]
    gone = [ref for ref in node.owners if states[ref["uid"]] != "solid"]
    waiting = any(states[ref["uid"]] == "waiting" for ref in node.owners)
    if solid:
        return Decision("patch", tuple(solid)) if gone else NOTHING
    dependents = graph.dependents_of(node.uid)
    if waiting and dependents:
        cycle = any(dependent.deletes_foreground for dependent in dependents)
        unblocked = tuple({**ref, "blockOwnerDeletion": False} for ref in node.owners)
        return Decision("delete", unblocked if cycle else (), "Foreground", cycle)
    if ORPHAN in node.finalizers:
        return Decision("delete", policy="Orphan")
    if FOREGROUND in node.finalizers:
        return Decision("delete", policy="Foreground")
    return Decision("delete", policy="Background")
