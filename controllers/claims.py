"""Which dependents an owner claims: adopt matching orphans, release those that no longer match. Pure.

One object has at most one controller. A dependent of another controller is never touched; one that is on its way out is
neither adopted nor released; an owner on its way out adopts nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from machinery.meta.objects import controller_of, is_terminating, labels_of

Object = dict[str, Any]


@dataclass
class Claims:
    owned: list[Object] = field(default_factory=list)
    adopt: list[Object] = field(default_factory=list)
    release: list[Object] = field(default_factory=list)


def plan_claims(owner: Object, matches: Callable[[Mapping[str, str]], bool], candidates: Iterable[Object]) -> Claims:
    claims = Claims()
    uid = owner["metadata"]["uid"]
    for candidate in candidates:
        reference = controller_of(candidate)
        if reference is not None:
            if reference["uid"] != uid:
                continue
            if matches(labels_of(candidate)):
                claims.owned.append(candidate)
            elif not is_terminating(owner):
                claims.release.append(candidate)
            continue
        if is_terminating(owner) or is_terminating(candidate) or not matches(labels_of(candidate)):
            continue
        claims.adopt.append(candidate)
    return claims


def adoption_patch(candidate: Object, reference: Object, finalizers: Iterable[str] = ()) -> Object:
    """A strategic merge patch; the uid makes it fail when the name was reused."""
    metadata: Object = {"ownerReferences": [reference], "uid": candidate["metadata"]["uid"]}
    if finalizers:
        metadata["finalizers"] = list(finalizers)
    return {"metadata": metadata}


def release_patch(candidate: Object, owner_uid: str, finalizers: Iterable[str] = ()) -> Object:
    metadata: Object = {
        "ownerReferences": [{"$patch": "delete", "uid": owner_uid}], "uid": candidate["metadata"]["uid"],
    }
    if finalizers:
        metadata["$deleteFromPrimitiveList/finalizers"] = list(finalizers)
    return {"metadata": metadata}
