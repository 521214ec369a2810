"""The stable identity of a StatefulSet's pods: names, ordinals, claims, labels. Pure."""

from __future__ import annotations

from typing import Any

from controllers.history import NAME_LABEL
from controllers.pods import pod_from_template
from machinery.meta.objects import deep_copy, labels_of, owner_reference

Object = dict[str, Any]

POD_NAME = "statefulset.kubernetes.io/pod-name"
POD_INDEX = "apps.kubernetes.io/pod-index"


def start_ordinal(stateful_set: Object) -> int:
    return int((stateful_set["spec"].get("ordinals") or {}).get("start") or 0)


def ordinal_of(stateful_set: Object, pod: Object) -> int | None:
    """``web-3`` of ``web`` -> 3; None for a name of another form."""
    parent, _, number = pod["metadata"]["name"].rpartition("-")
    return int(number) if parent == stateful_set["metadata"]["name"] and number.isdigit() else None


def revision_of(pod: Object) -> str:
    return labels_of(pod).get(NAME_LABEL, "")


def claim_name(stateful_set: Object, template: Object, ordinal: int) -> str:
    return f"{template['metadata']['name']}-{stateful_set['metadata']['name']}-{ordinal}"


def make_claims(stateful_set: Object, ordinal: int) -> list[Object]:
    """The claims of one pod; they carry the selector's labels so that they can be found again."""
    labels = (stateful_set["spec"].get("selector") or {}).get("matchLabels") or {}
    claims = []
    for template in stateful_set["spec"].get("volumeClaimTemplates") or ():
        meta = template.get("metadata") or {}
        metadata: Object = {
            "name": claim_name(stateful_set, template, ordinal), "namespace": stateful_set["metadata"]["namespace"],
            "labels": {**(meta.get("labels") or {}), **labels},
        }  # fmt: skip
        if meta.get("annotations"):
            metadata["annotations"] = dict(meta["annotations"])
        claims.append({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata,
            "spec": deep_copy(template["spec"]),
        })  # fmt: skip
    return claims


def make_stateful_pod(stateful_set: Object, template: Object, revision: str, ordinal: int) -> Object:
    pod = pod_from_template(template, stateful_set, owner_reference(stateful_set, "apps/v1", "StatefulSet"))
    meta, spec, name = pod["metadata"], pod["spec"], f"{stateful_set['metadata']['name']}-{ordinal}"
    meta["name"] = name
    meta["labels"] |= {NAME_LABEL: revision, POD_NAME: name, POD_INDEX: str(ordinal)}
    spec["hostname"] = name
    if stateful_set["spec"].get("serviceName"):
        spec["subdomain"] = stateful_set["spec"]["serviceName"]
    volumes = []
    claimed = set()
    for claim in stateful_set["spec"].get("volumeClaimTemplates") or ():
        claimed.add(claim["metadata"]["name"])
        volumes.append({
            "name": claim["metadata"]["name"],
            "persistentVolumeClaim": {"claimName": claim_name(stateful_set, claim, ordinal)},
        })  # fmt: skip
    volumes += [volume for volume in spec.get("volumes") or () if volume["name"] not in claimed]
    if volumes:
        spec["volumes"] = volumes
    return pod
