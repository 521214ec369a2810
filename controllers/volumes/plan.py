"""Which claim gets which volume, and what becomes of a volume when its claim is gone. Pure.

A pair is bound from both sides: the volume names the claim (``claimRef`` with uid), the claim names the volume. The
volume is written first; a crash between the two leaves a volume that is reserved for exactly this claim, and the next
sync finishes the pair.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from machinery.meta.objects import annotations_of, is_terminating, labels_of
from machinery.meta.quantity import parse_quantity
from machinery.meta.selectors import label_selector_from_dict

Object = dict[str, Any]

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
CLAIM_PROTECTION = "kubernetes.io/pvc-protection"
VOLUME_PROTECTION = "kubernetes.io/pv-protection"
SELECTED_NODE = "volume.kubernetes.io/selected-node"


def refers_to(volume: Object, claim: Object) -> bool:
    """The volume is reserved for this claim (by name, and by uid once it has one)."""
    reference = volume["spec"].get("claimRef")
    if not reference:
        return False
    meta = claim["metadata"]
    same = reference.get("name") == meta["name"] and reference.get("namespace") == meta["namespace"]
    return same and (not reference.get("uid") or reference["uid"] == meta["uid"])


def storage_class_of(obj: Object) -> str:
    legacy = annotations_of(obj).get("volume.beta.kubernetes.io/storage-class")
    return str(legacy if legacy is not None else obj["spec"].get("storageClassName") or "")


def requested(claim: Object) -> Any:
    return parse_quantity(((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", "0"))


def capacity(volume: Object) -> Any:
    return parse_quantity((volume["spec"].get("capacity") or {}).get("storage", "0"))


def satisfies(volume: Object, claim: Object) -> bool:
    """Size, access modes and volume mode suffice."""
    modes = set(claim["spec"].get("accessModes") or ())
    return (
        capacity(volume) >= requested(claim) and modes <= set(volume["spec"].get("accessModes") or ())
        and volume["spec"].get("volumeMode", "Filesystem") == claim["spec"].get("volumeMode", "Filesystem")
    )  # fmt: skip


def find_volume(claim: Object, volumes: Iterable[Object]) -> Object | None:
    """The volume reserved for the claim, else the smallest free one that fits."""
    candidates: list[Object] = []
    selector = claim["spec"].get("selector")
    wanted = label_selector_from_dict(selector) if selector else None
    for volume in sorted(volumes, key=lambda item: item["metadata"]["name"]):
        if is_terminating(volume):
            continue
        if refers_to(volume, claim):
            return volume
        free = not volume["spec"].get("claimRef") and (volume.get("status") or {}).get("phase") in (
            "Available", "Pending", None,
        )  # fmt: skip
        if not free or storage_class_of(volume) != storage_class_of(claim) or not satisfies(volume, claim):
            continue
        if wanted is None or wanted.matches(labels_of(volume)):
            candidates.append(volume)
    return min(candidates, key=capacity, default=None)


def is_bound(claim: Object) -> bool:
    return BIND_COMPLETED in annotations_of(claim)


def bound_volume(volume: Object, claim: Object) -> Object | None:
    """The volume reserved for the claim; None when it is already, uid and all."""
    reference = volume["spec"].get("claimRef") or {}
    meta = claim["metadata"]
    if reference.get("uid") == meta["uid"] and refers_to(volume, claim):
        return None
    annotations = dict(annotations_of(volume))
    if not reference:
        annotations[BOUND_BY_CONTROLLER] = "yes"
    made = {
        "kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": meta["namespace"], "name": meta["name"],
        "uid": meta["uid"], "resourceVersion": meta.get("resourceVersion", ""),
    }  # fmt: skip
    return {
        **volume, "metadata": {**volume["metadata"], "annotations": annotations},
        "spec": {**volume["spec"], "claimRef": made},
    }  # fmt: skip


def bound_claim(claim: Object, volume: Object) -> Object | None:
    """The claim with its volume; None when it says so already."""
    annotations = {**annotations_of(claim), BIND_COMPLETED: "yes"}
    if not claim["spec"].get("volumeName"):
        annotations[BOUND_BY_CONTROLLER] = "yes"
    name = volume["metadata"]["name"]
    if claim["spec"].get("volumeName") == name and annotations == annotations_of(claim):
        return None
    return {
        **claim, "metadata": {**claim["metadata"], "annotations": annotations},
        "spec": {**claim["spec"], "volumeName": name},
    }  # fmt: skip


def bound_claim_status(claim: Object, volume: Object) -> Object:
    return {
        **(claim.get("status") or {}), "phase": "Bound", "accessModes": list(volume["spec"].get("accessModes") or ()),
        "capacity": dict(volume["spec"].get("capacity") or {}),
    }  # fmt: skip


def volume_phase(volume: Object, claim: Object | None) -> str:
    """``claim``: the one its reference names, when that exists."""
    reference = volume["spec"].get("claimRef")
    if not reference:
        return "Available"
    if not reference.get("uid"):
        return "Available"  # reserved by its administrator, waiting for the claim
    if claim is None or claim["metadata"]["uid"] != reference["uid"]:
        return "Released"
    return "Bound"


def users_of(claim: Object, pods: Iterable[Object]) -> list[Object]:
    """Pods that may have the claim mounted: bound to a node and not over."""
    name, namespace = claim["metadata"]["name"], claim["metadata"]["namespace"]
    return [
        pod for pod in pods
        if pod["metadata"]["namespace"] == namespace and pod["spec"].get("nodeName")
        and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed") and mounts(pod, name)
    ]  # fmt: skip


def mounts(pod: Object, claim_name: str) -> bool:
    for volume in pod["spec"].get("volumes") or ():
        if (volume.get("persistentVolumeClaim") or {}).get("claimName") == claim_name:
            return True
        if "ephemeral" in volume and f"{pod['metadata']['name']}-{volume['name']}" == claim_name:
            return True
    return False
