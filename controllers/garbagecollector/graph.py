"""The graph of owners and dependents, by uid. Pure: events in, questions out; no requests.

Invariants:

* ``dependents[owner uid]`` are exactly the uids of known objects with a reference to that owner, whether or not the
  owner itself is known.
* ``absent`` are owners known not to exist (seen deleted, or looked for in vain); a uid never comes back.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
ABSENT_REMEMBERED = 5000


@dataclass
class Node:
    uid: str
    gv: str
    kind: str
    plural: str
    namespace: str
    name: str
    version: str = ""
    owners: list[Object] = field(default_factory=list)
    finalizers: list[str] = field(default_factory=list)
    deleting: bool = False

    @property
    def deletes_foreground(self) -> bool:
        return self.deleting and FOREGROUND in self.finalizers

    @property
    def orphans(self) -> bool:
        return self.deleting and ORPHAN in self.finalizers

    def owner_uids(self) -> set[str]:
        return {reference["uid"] for reference in self.owners}


class Graph:
    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.dependents: dict[str, set[str]] = {}
        self.absent: OrderedDict[str, None] = OrderedDict()

    def observe(self, gv: str, kind: str, plural: str, obj: Object) -> set[str]:
        """An object as it is now. Returns the uids worth looking at again."""
        meta = obj["metadata"]
        uid = meta["uid"]
        node = Node(
            uid, gv, kind, plural, meta.get("namespace") or "", meta["name"], meta.get("resourceVersion") or "",
            list(meta.get("ownerReferences") or ()), list(meta.get("finalizers") or ()),
            bool(meta.get("deletionTimestamp")),
        )  # fmt: skip
        old = self.nodes.get(uid)
        self.nodes[uid] = node
        before = old.owner_uids() if old is not None else set()
        after = node.owner_uids()
        for owner in before - after:
            self._unlink(owner, uid)
        for owner in after - before:
            self.dependents.setdefault(owner, set()).add(uid)
        work: set[str] = set()
        if node.deleting and (node.deletes_foreground or node.orphans):
            work.add(uid)
        if after and (old is None or old.owners != node.owners):
            work.add(uid)
        # Whoever waits for this dependent may go on: it was unlinked, or it does not block any more.
        if old is not None and old.owners != node.owners:
            work |= {owner for owner in before if self._waits(owner)}
        return work

    def forget(self, uid: str) -> set[str]:
        """The object is gone. Returns its dependents (to be collected) and owners that waited for it."""
        node = self.nodes.pop(uid, None)
        self.mark_absent(uid)
        work = set(self.dependents.get(uid, ()))
        if node is not None:
            for owner in node.owner_uids():
                self._unlink(owner, uid)
                if self._waits(owner):
                    work.add(owner)
        return work

    def mark_absent(self, uid: str) -> None:
        self.absent[uid] = None
        self.absent.move_to_end(uid)
        if len(self.absent) > ABSENT_REMEMBERED:
            self.absent.popitem(last=False)

    def dependents_of(self, uid: str) -> list[Node]:
        return [self.nodes[dependent] for dependent in sorted(self.dependents.get(uid, ()))]

    def blockers_of(self, uid: str) -> list[Node]:
        """Dependents that hold up the foreground deletion of their owner."""
        return [
            node for node in self.dependents_of(uid)
            if any(ref["uid"] == uid and ref.get("blockOwnerDeletion") for ref in node.owners)
        ]  # fmt: skip

    def _waits(self, uid: str) -> bool:
        node = self.nodes.get(uid)
        return node is not None and (node.deletes_foreground or node.orphans)

    def _unlink(self, owner: str, uid: str) -> None:
        dependents = self.dependents.get(owner)
        if dependents is not None:
            dependents.discard(uid)
            if not dependents:
                del self.dependents[owner]
