"""Revisions of a Deployment: which ReplicaSet is its newest, and the annotations that remember the history. Pure.

The history lives in annotations of the ReplicaSets (``kubectl rollout history`` reads them), so their rules are
interface: a template that returns takes a new revision number and remembers its old ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from controllers.hashing import semantically_equal, template_hash
from machinery.meta.objects import annotations_of, deep_copy, owner_reference

Object = dict[str, Any]

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"
#: Annotations that belong to the Deployment alone.
NOT_COPIED = frozenset({
    "kubectl.kubernetes.io/last-applied-configuration", REVISION, REVISION_HISTORY, DESIRED_REPLICAS, MAX_REPLICAS,
    "deprecated.deployment.rollback.to",
})  # fmt: skip
HISTORY_LIMIT_CHARACTERS = 2000


def replicas_of(obj: Object) -> int:
    replicas = obj["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def age_key(item: Object) -> tuple[str, str]:
    return item["metadata"].get("creationTimestamp") or "", item["metadata"]["name"]


def _without_hash(template: Object) -> Object:
    meta = dict(template.get("metadata") or {})
    meta["labels"] = {key: value for key, value in (meta.get("labels") or {}).items() if key != HASH_LABEL}
    return {**template, "metadata": meta}


def same_template(left: Object, right: Object) -> bool:
    return semantically_equal(_without_hash(left), _without_hash(right))


def find_new(deployment: Object, sets: Iterable[Object]) -> Object | None:
    """The ReplicaSet of the present template; the oldest, should there be several."""
    for item in sorted(sets, key=age_key):
        if same_template(item["spec"]["template"], deployment["spec"]["template"]):
            return item
    return None


def revision_of(obj: Object) -> int:
    try:
        return int(annotations_of(obj).get(REVISION, "0"))
    except ValueError:
        return 0


def annotate(deployment: Object, replica_set: Object, revision: int, *, exists: bool) -> bool:
    """Write the annotations of the newest ReplicaSet in place; True when something changed."""
    annotations = dict(annotations_of(replica_set))
    before = dict(annotations)
    for key, value in annotations_of(deployment).items():
        if key not in NOT_COPIED:
            annotations[key] = value
    old = annotations.get(REVISION)
    old_number = int(old) if old is not None and old.isdigit() else 0
    if old_number < revision:
        annotations[REVISION] = str(revision)
        if old is not None:
            history = [number for number in annotations.get(REVISION_HISTORY, "").split(",") if number]
            history.append(old)
            while len(",".join(history)) > HISTORY_LIMIT_CHARACTERS and len(history) > 1:
                history.pop(0)
            annotations[REVISION_HISTORY] = ",".join(history)
    if annotations != before:
        replica_set["metadata"]["annotations"] = annotations
    return annotations != before


def size_annotations(deployment: Object, surge: int) -> dict[str, str]:
    desired = replicas_of(deployment)
    return {DESIRED_REPLICAS: str(desired), MAX_REPLICAS: str(desired + surge)}


def make_replica_set(deployment: Object) -> Object:
    """The ReplicaSet of the present template, still of size zero."""
    meta, spec = deployment["metadata"], deployment["spec"]
    digest = template_hash(spec["template"], (deployment.get("status") or {}).get("collisionCount"))
    template = deep_copy(spec["template"])
    labels = {**((template.get("metadata") or {}).get("labels") or {}), HASH_LABEL: digest}
    template.setdefault("metadata", {})["labels"] = labels
    selector = deep_copy(spec["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH_LABEL: digest}
    made: Object = {
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": f"{meta['name']}-{digest}", "namespace": meta["namespace"], "labels": dict(labels),
            "ownerReferences": [owner_reference(deployment, "apps/v1", "Deployment")],
        },
        "spec": {"replicas": 0, "selector": selector, "template": template},
    }  # fmt: skip
    if spec.get("minReadySeconds"):
        made["spec"]["minReadySeconds"] = spec["minReadySeconds"]
    return made


def obsolete(deployment: Object, old: Sequence[Object]) -> list[Object]:
    """Old, empty ReplicaSets beyond ``revisionHistoryLimit``, lowest revision first."""
    limit = deployment["spec"].get("revisionHistoryLimit")
    if limit is None:
        return []
    alive = [item for item in old if not item["metadata"].get("deletionTimestamp")]
    surplus = len(alive) - int(limit)
    if surplus <= 0:
        return []
    candidates = sorted(alive, key=revision_of)[:surplus]
    return [item for item in candidates if _is_empty_and_settled(item)]


def _is_empty_and_settled(item: Object) -> bool:
    status = item.get("status") or {}
    return (
        not status.get("replicas") and replicas_of(item) == 0
        and (item["metadata"].get("generation") or 0) <= (status.get("observedGeneration") or 0)
    )  # fmt: skip
