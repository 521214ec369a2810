"""A pod as the scheduler sees it: parsed once, asked many times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from machinery.meta.objects import join_key
from machinery.meta.selectors import LabelSelector, label_selector_from_dict
from scheduler.resources import Resources, pod_requests

Object = dict[str, Any]

ANY_ADDRESS = "0.0.0.0"


@dataclass(frozen=True, slots=True)
class Term:
    """Which pods a term speaks of: a label selector within namespaces (named, or selected by their labels)."""

    selector: LabelSelector
    namespaces: frozenset[str]
    namespace_selector: LabelSelector | None = None

    def matches(self, pod: PodInfo, namespace_labels: Mapping[str, Mapping[str, str]]) -> bool:
        if pod.namespace not in self.namespaces:
            if self.namespace_selector is None:
                return False
            if not self.namespace_selector.matches(namespace_labels.get(pod.namespace, {})):
                return False
        return self.selector.matches(pod.labels)


@dataclass(frozen=True, slots=True)
class AffinityTerm:
    term: Term
    topology_key: str
    weight: int = 0


@dataclass(frozen=True, slots=True)
class SpreadConstraint:
    term: Term
    topology_key: str
    max_skew: int
    hard: bool
    min_domains: int = 1
    honor_affinity: bool = True
    honor_taints: bool = False


@dataclass(slots=True)
class PodInfo:
    """Read-only view of one pod. ``signature`` is equal for pods that no filter or score can tell apart."""

    key: str
    uid: str
    namespace: str
    name: str
    labels: Mapping[str, str]
    priority: int
    node_name: str
    terminating: bool
    spec: Object
    requests: Resources
    non_zero_cpu: int
    non_zero_memory: int
    host_ports: tuple[tuple[str, int, str], ...]
    required_affinity: tuple[AffinityTerm, ...]
    required_anti: tuple[AffinityTerm, ...]
    preferred: tuple[AffinityTerm, ...]
    spread: tuple[SpreadConstraint, ...]
    images: tuple[str, ...]
    claims: tuple[str, ...]
    start_time: str
    signature: bytes = b""
    obj: Object = field(default_factory=dict, repr=False)

    @property
    def has_terms(self) -> bool:
        return bool(self.required_affinity or self.required_anti or self.preferred)


def pod_info(pod: Object) -> PodInfo:
    """Parse a pod object (which must have passed validation)."""
    meta, spec = pod["metadata"], pod["spec"]
    namespace, labels = meta.get("namespace", ""), meta.get("labels") or {}
    affinity = spec.get("affinity") or {}
    pod_affinity, anti = affinity.get("podAffinity") or {}, affinity.get("podAntiAffinity") or {}
    containers = spec.get("containers") or []
    plain = not spec.get("initContainers")
    scoring = pod_requests(spec, non_zero=True)
    info = PodInfo(
        key=join_key(namespace, meta["name"]),
        uid=meta.get("uid", ""),
        namespace=namespace,
        name=meta["name"],
        labels=labels,
        priority=int(spec.get("priority") or 0),
        node_name=spec.get("nodeName") or "",
        terminating=bool(meta.get("deletionTimestamp")),
        spec=spec,
        requests=pod_requests(spec),
        non_zero_cpu=scoring.get("cpu", 0),
        non_zero_memory=scoring.get("memory", 0),
        host_ports=tuple(_host_ports(containers if plain else [*containers, *_sidecars(spec)])),
        required_affinity=_required(pod_affinity, namespace, labels),
        required_anti=_required(anti, namespace, labels),
        preferred=(*_preferred(pod_affinity, namespace, labels, 1), *_preferred(anti, namespace, labels, -1)),
        spread=tuple(_spread(item, namespace, labels) for item in spec.get("topologySpreadConstraints") or ()),
        images=tuple(container.get("image", "") for container in containers),
        claims=tuple(_claims(spec, meta["name"])),
        start_time=(pod.get("status") or {}).get("startTime") or meta.get("creationTimestamp") or "",
        obj=pod,
    )
    info.signature = _signature(info, meta)
    return info


def _signature(info: PodInfo, meta: Object) -> bytes:
    spec = info.spec
    parts: list[Any] = [
        spec.get("nodeSelector"), (spec.get("affinity") or {}).get("nodeAffinity"), spec.get("tolerations"),
        info.requests, info.non_zero_cpu, info.non_zero_memory, info.host_ports, info.images, info.claims,
        [reference["uid"] for reference in meta.get("ownerReferences") or ()],
        info.namespace, info.labels,
    ]  # fmt: skip
    if info.has_terms or info.spread:
        parts += [spec.get("affinity"), spec.get("topologySpreadConstraints")]
    return orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)


def _sidecars(spec: Object) -> list[Object]:
    return [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]


def _host_ports(containers: Iterable[Object]) -> Iterable[tuple[str, int, str]]:
    for container in containers:
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                yield port.get("protocol") or "TCP", int(port["hostPort"]), port.get("hostIP") or ANY_ADDRESS


def _term(term: Object, namespace: str, labels: Mapping[str, str]) -> AffinityTerm:
    selector = dict(term.get("labelSelector") or {}) if term.get("labelSelector") is not None else None
    for keys, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")):
        extra = [{"key": k, "operator": operator, "values": [labels[k]]} for k in term.get(keys) or () if k in labels]
        if extra and selector is not None:
            selector["matchExpressions"] = [*(selector.get("matchExpressions") or ()), *extra]
    namespaces = frozenset(term.get("namespaces") or ())
    namespace_selector = term.get("namespaceSelector")
    if not namespaces and namespace_selector is None:
        namespaces = frozenset((namespace,))
    chosen = None if namespace_selector is None else label_selector_from_dict(namespace_selector)
    return AffinityTerm(Term(label_selector_from_dict(selector), namespaces, chosen), term.get("topologyKey", ""))


def _required(affinity: Object, namespace: str, labels: Mapping[str, str]) -> tuple[AffinityTerm, ...]:
    terms = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
    return tuple(_term(term, namespace, labels) for term in terms)


def _preferred(affinity: Object, namespace: str, labels: Mapping[str, str], sign: int) -> Iterable[AffinityTerm]:
    for weighted in affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ():
        base = _term(weighted["podAffinityTerm"], namespace, labels)
        yield AffinityTerm(base.term, base.topology_key, sign * int(weighted.get("weight") or 0))


def _spread(constraint: Object, namespace: str, labels: Mapping[str, str]) -> SpreadConstraint:
    base = _term(
        {"labelSelector": constraint.get("labelSelector"), "matchLabelKeys": constraint.get("matchLabelKeys")},
        namespace, labels,
    )  # fmt: skip
    return SpreadConstraint(
        term=base.term,
        topology_key=constraint["topologyKey"],
        max_skew=int(constraint.get("maxSkew") or 1),
        hard=constraint.get("whenUnsatisfiable") != "ScheduleAnyway",
        min_domains=int(constraint.get("minDomains") or 1),
        honor_affinity=constraint.get("nodeAffinityPolicy") != "Ignore",
        honor_taints=constraint.get("nodeTaintsPolicy") == "Honor",
    )


def _claims(spec: Object, pod_name: str) -> Iterable[str]:
    for volume in spec.get("volumes") or ():
        if "persistentVolumeClaim" in volume:
            yield volume["persistentVolumeClaim"]["claimName"]
        elif "ephemeral" in volume:
            yield f"{pod_name}-{volume['name']}"
