"""ControllerRevisions: the remembered templates of DaemonSets and StatefulSets (``kubectl rollout undo`` reads them).

A revision's data is a patch that puts the template back; two revisions are the same when their data is. Names carry a
hash, and a hash that collides with another owner's revision is tried again with the next collision count. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from controllers.hashing import canonical_json, hash_bytes, semantically_equal
from machinery.meta.objects import annotations_of, labels_of

Object = dict[str, Any]

HASH_LABEL = "controller.kubernetes.io/hash"
NAME_LABEL = "controller-revision-hash"


def template_patch(template: Object) -> Object:
    return {"spec": {"template": {**template, "$patch": "replace"}}}


def revision_hash(template: Object, collision_count: int | None) -> str:
    return hash_bytes(canonical_json(template_patch(template)), collision_count)


def make_revision(
    owner: Object, reference: Object, labels: dict[str, str], digest: str, number: int
) -> Object:
    meta = owner["metadata"]
    metadata: Object = {
        "name": f"{meta['name']}-{digest}", "namespace": meta["namespace"], "labels": labels,
        "ownerReferences": [reference],
    }  # fmt: skip
    if annotations_of(owner):
        metadata["annotations"] = dict(annotations_of(owner))
    return {
        "apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata,
        "data": template_patch(owner["spec"]["template"]), "revision": number,
    }  # fmt: skip


def template_of(revision: Object) -> Object:
    template = dict((revision.get("data") or {}).get("spec", {}).get("template") or {})
    template.pop("$patch", None)
    return template


def describes(revision: Object, template: Object) -> bool:
    return semantically_equal(template_of(revision), template)


@dataclass
class History:
    """``current``: the revision of the present template, None when it must be created with ``number``."""

    current: Object | None
    old: list[Object]
    number: int
    duplicates: list[Object] = field(default_factory=list)

    @property
    def must_renumber(self) -> bool:
        """A template that was used before becomes the newest again."""
        return self.current is not None and int(self.current.get("revision") or 0) < self.number


def plan_history(template: Object, revisions: Sequence[Object]) -> History:
    same = sorted((item for item in revisions if describes(item, template)), key=lambda item: item["revision"])
    current = same[-1] if same else None
    old = sorted((item for item in revisions if item is not current and item not in same), key=lambda r: r["revision"])
    highest = max((int(item["revision"]) for item in old), default=0)
    return History(current, old, highest + 1, same[:-1])


def obsolete_revisions(old: Sequence[Object], live_names: set[str], limit: int) -> list[Object]:
    """Old revisions beyond the limit that no pod uses; lowest number first."""
    idle = [item for item in old if item["metadata"]["name"] not in live_names
            and labels_of(item).get(NAME_LABEL) not in live_names]  # fmt: skip
    surplus = len(old) - limit
    return idle[:surplus] if surplus > 0 else []
