"""What Nodes and the pods on them get by default: the first taint, the tolerations of a minute's absence, topology."""

from __future__ import annotations

from typing import Any

from apiserver.admission.interface import AdmissionRequest
from apiserver.admission.plugin import PODS, Plugin, metadata_of
from apiserver.registry.interface import ObjectReader

Object = dict[str, Any]

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
TOLERATION_SECONDS = 300
TOPOLOGY_LABELS = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")


class TaintNodesByCondition(Plugin):
    """A new node takes no pods until its controller has seen it ready, whatever it says of itself."""

    name = "TaintNodesByCondition"
    resources = frozenset({("", "nodes")})

    async def admit(self, request: AdmissionRequest) -> None:
        assert request.obj is not None
        spec = request.obj.setdefault("spec", {})
        taints = spec.get("taints") or []
        if not any(taint.get("key") == NOT_READY and taint.get("effect") == "NoSchedule" for taint in taints):
            spec["taints"] = [*taints, {"key": NOT_READY, "effect": "NoSchedule"}]


class DefaultTolerationSeconds(Plugin):
    """Pods stay on a node that is away for five minutes, unless they say otherwise."""

    name = "DefaultTolerationSeconds"
    resources = frozenset({PODS})
    operations = frozenset({"CREATE", "UPDATE"})

    async def admit(self, request: AdmissionRequest) -> None:
        assert request.obj is not None
        spec = request.obj["spec"]
        tolerations = spec.get("tolerations") or []
        missing = [key for key in (NOT_READY, UNREACHABLE) if not any(_tolerates(t, key) for t in tolerations)]
        if missing:
            spec["tolerations"] = tolerations + [
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TOLERATION_SECONDS}
                for key in missing
            ]


class PodTopologyLabels(Plugin):
    """A pod carries zone and region of its node, so that it can read them without a right on nodes."""

    name = "PodTopologyLabels"
    resources = frozenset({PODS, ("", "bindings")})
    subresources = frozenset({"", "binding"})

    def __init__(self, reader: ObjectReader) -> None:
        self._reader = reader

    async def admit(self, request: AdmissionRequest) -> None:
        obj = request.obj
        if obj is None:
            return
        if request.subresource == "binding" or request.resource == "bindings":
            target = obj.get("target") or {}
            node_name = target.get("name") if target.get("kind") in (None, "", "Node") else None
        else:
            node_name = (obj.get("spec") or {}).get("nodeName")
        node = self._reader.get("", "nodes", "", node_name) if node_name else None
        if node is None:
            return
        labels = node["metadata"].get("labels") or {}
        topology = {key: labels[key] for key in TOPOLOGY_LABELS if key in labels}
        if topology:
            metadata = metadata_of(obj)
            metadata["labels"] = {**(metadata.get("labels") or {}), **topology}


def _tolerates(toleration: Object, key: str) -> bool:
    return toleration.get("key") in (None, "", key) and toleration.get("effect") in (None, "", "NoExecute")
