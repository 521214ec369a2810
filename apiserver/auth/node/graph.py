"""Which objects a node may see because its pods use them, kept from the pods as they come and go.

Per node there is a count of every reference of its pods, so that an answer is a look-up and a change of one pod costs
the references of that pod. Volumes hang on claims and are looked up the other way round.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from apiserver.auth.node import references
from apiserver.registry.interface import ObjectReader

Object = dict[str, Any]
Reference = tuple[str, str, str]  # (resource, namespace, name)


class NodeGraph:
    def __init__(self, reader: ObjectReader) -> None:
        self._by_node: dict[str, Counter[Reference]] = {}
        self._pods: dict[tuple[str, str], tuple[str, frozenset[Reference]]] = {}
        self._claim_of_volume: dict[str, Reference] = {}
        self._secrets_of_volume: dict[str, frozenset[Reference]] = {}
        self._volumes_of_secret: dict[Reference, set[str]] = {}
        self._node_of: dict[Reference, str] = {}
        reader.on_change("", "pods", self._pod_changed)
        reader.on_change("", "persistentvolumes", self._volume_changed)
        reader.on_change("storage.k8s.io", "volumeattachments", self._attachment_changed)
        reader.on_change("resource.k8s.io", "resourceslices", self._slice_changed)

    def reaches(self, node: str, resource: str, namespace: str, name: str) -> bool:
        reference = (resource, namespace, name)
        seen = self._by_node.get(node)
        if seen and reference in seen:
            return True
        if resource == "persistentvolumes":
            return bool(seen) and self._claim_of_volume.get(name) in seen  # type: ignore[operator]
        if resource == "secrets" and seen:
            return any(
                self._claim_of_volume.get(volume) in seen for volume in self._volumes_of_secret.get(reference, ())
            )
        return self._node_of.get(reference) == node

    def _pod_changed(self, event: str, pod: Object) -> None:
        metadata = pod["metadata"]
        key = (metadata["namespace"], metadata["name"])
        node = pod["spec"].get("nodeName") or ""
        wanted = _references_of(pod) if node and event != "DELETED" else frozenset()
        old = self._pods.get(key)
        if old is not None:
            if old == (node, wanted):
                return  # a change of status: by far the most
            del self._pods[key]
            counter = self._by_node[old[0]]
            counter.subtract(old[1])
            for reference in old[1]:
                if counter[reference] <= 0:
                    del counter[reference]
            if not counter:
                del self._by_node[old[0]]
        if wanted:
            self._pods[key] = (node, wanted)
            self._by_node.setdefault(node, Counter()).update(wanted)

    def _volume_changed(self, event: str, volume: Object) -> None:
        name = volume["metadata"]["name"]
        for secret in self._secrets_of_volume.pop(name, ()):
            self._volumes_of_secret[secret].discard(name)
        self._claim_of_volume.pop(name, None)
        claim = volume["spec"].get("claimRef")
        if event == "DELETED" or not claim:
            return
        self._claim_of_volume[name] = ("persistentvolumeclaims", claim.get("namespace", ""), claim.get("name", ""))
        secrets = frozenset(("secrets", *where) for where in references.volume_secrets(volume))
        self._secrets_of_volume[name] = secrets
        for secret in secrets:
            self._volumes_of_secret.setdefault(secret, set()).add(name)

    def _attachment_changed(self, event: str, obj: Object) -> None:
        self._belongs(event, ("volumeattachments", "", obj["metadata"]["name"]), obj["spec"].get("nodeName"))

    def _slice_changed(self, event: str, obj: Object) -> None:
        self._belongs(event, ("resourceslices", "", obj["metadata"]["name"]), obj["spec"].get("nodeName"))

    def _belongs(self, event: str, reference: Reference, node: str | None) -> None:
        if event == "DELETED" or not node:
            self._node_of.pop(reference, None)
        else:
            self._node_of[reference] = node


def _references_of(pod: Object) -> frozenset[Reference]:
    namespace = pod["metadata"]["namespace"]
    found = {("pods", namespace, pod["metadata"]["name"])}
    # A mirror pod is written by the node itself: what it refers to must not open anything to that node.
    if not references.is_mirror(pod):
        found.add(("serviceaccounts", namespace, pod["spec"].get("serviceAccountName") or "default"))
        for resource, names in (
            ("secrets", references.secrets(pod)),
            ("configmaps", references.config_maps(pod)),
            ("persistentvolumeclaims", references.claims(pod)),
            ("resourceclaims", references.resource_claims(pod)),
        ):
            found.update((resource, namespace, name) for name in names if name)
    return frozenset(found)
