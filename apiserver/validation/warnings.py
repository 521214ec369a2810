"""What is allowed but probably not meant: the texts of the Warning headers that accompany a good write. Pure.

Asked only once validation has found nothing. Updates of pods are never warned about; those of workloads only when they
change the spec.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

from apiserver.validation.field import Object
from apiserver.validation.rules import KindLike

_BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
_MOUNTABLE = "kubernetes.io/enforce-mountable-secrets"
_CONTAINER_LISTS = ("initContainers", "containers", "ephemeralContainers")
_MAPPED_VOLUMES = (("configMap", "ConfigMap"), ("secret", "Secret"), ("downwardAPI", "DownwardAPI"))
_TEMPLATES = {
    ("", "ReplicationController"): ("spec", "template"),
    ("", "PodTemplate"): ("template",),
    ("apps", "Deployment"): ("spec", "template"),
    ("apps", "ReplicaSet"): ("spec", "template"),
    ("apps", "DaemonSet"): ("spec", "template"),
    ("apps", "StatefulSet"): ("spec", "template"),
    ("batch", "Job"): ("spec", "template"),
    ("batch", "CronJob"): ("spec", "jobTemplate", "spec", "template"),
}  # fmt: skip


def warnings_for(kind: KindLike, obj: Object, old: Object | None, subresource: str = "") -> list[str]:
    """The warnings about a new object (`old` is None) or about an update of `old`."""
    if subresource or kind.custom:
        return []
    key = kind.group, kind.kind
    out: list[str] = []
    if key == ("", "Pod"):
        return [] if old is not None else list(_pod_spec("spec", obj.get("spec") or {}))
    way = _TEMPLATES.get(key)
    if way is not None and (old is None or obj.get(way[0]) != old.get(way[0])):
        template: Any = obj
        for name in way:
            template = template.get(name) or {}
        out += _pod_spec(".".join((*way, "spec")), template.get("spec") or {})
    own = _OWN.get(key)
    if own is not None:
        out += own(obj, old)
    return out


def _pod_spec(path: str, spec: Object) -> Iterator[str]:
    for index, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        if constraint.get("labelSelector") is None:
            yield (f"{path}.topologySpreadConstraints[{index}].labelSelector: "
                   "a null labelSelector results in matching no pod")
    for volume in spec.get("volumes") or ():
        yield from _volume(volume)
    for name in _CONTAINER_LISTS:
        for index, container in enumerate(spec.get(name) or ()):
            yield from _hidden_variables(f"{path}.{name}[{index}]", container.get("env") or ())
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        yield (f"{path}.terminationGracePeriodSeconds: must be >= 0; "
               "negative values are invalid and will be treated as 1")
    yield from _doubled_ports(path, spec)


def _volume(volume: Object) -> Iterator[str]:
    name = volume.get("name", "")
    for member, title in _MAPPED_VOLUMES:
        seen: list[str] = []
        for item in (volume.get(member) or {}).get("items") or ():
            path = item.get("path", "")
            overlapped = [f'"{path}" with "{other}"' for other in sorted(seen) if _overlap(path, other)]
            if overlapped:
                yield f'volume "{name}" ({title}): overlapping paths: {", ".join(overlapped)}'
            seen.append(path)
    for source in (volume.get("projected") or {}).get("sources") or ():
        if not any(value is not None for value in source.values()):
            yield f'volume "{name}" (Projected) has no sources provided'


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _hidden_variables(path: str, variables: Any) -> Iterator[str]:
    seen: set[str] = set()
    for index, variable in enumerate(variables):
        name = variable.get("name", "")
        extends = variable.get("valueFrom") is None and f"$({name})" in (variable.get("value") or "")
        if name in seen and not extends:
            yield f'{path}.env[{index}]: hides previous definition of "{name}", which may be dropped when using apply'
        seen.add(name)


def _doubled_ports(path: str, spec: Object) -> Iterator[str]:
    """Ports of the pod that another container, or the same one, names as well."""
    seen: dict[tuple[Any, str], list[tuple[str, Object]]] = {}
    for name in _CONTAINER_LISTS:
        for index, container in enumerate(spec.get(name) or ()):
            for at, port in enumerate(container.get("ports") or ()):
                where = f"{path}.{name}[{index}].ports[{at}]"
                others = seen.setdefault((port.get("containerPort"), port.get("protocol", "TCP")), [])
                for place, other in others:
                    if _host(port) == _host(other):
                        yield f"{where}: duplicate port definition with {place}"
                    elif not port.get("hostPort") or not other.get("hostPort"):
                        yield f"{where}: overlapping port definition with {place}"
                others.append((where, port))


def _host(port: Object) -> tuple[str, int]:
    return port.get("hostIP") or "", port.get("hostPort") or 0


def _service(obj: Object, old: Object | None) -> Iterator[str]:
    spec = obj.get("spec") or {}
    if spec.get("externalIPs"):
        yield "spec.externalIPs is deprecated and may no longer be implemented in some clusters"
    if spec.get("type") != "ExternalName" and spec.get("externalName"):
        yield 'spec.externalName is ignored when spec.type is not "ExternalName"'
    if spec.get("trafficDistribution") == "PreferClose":
        yield 'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'


def _secret(obj: Object, old: Object | None) -> Iterator[str]:
    if obj.get("type") != "kubernetes.io/tls":
        return
    data = obj.get("data") or {}
    for key, name in (("tls.crt", "certificate"), ("tls.key", "key")):
        if b"-----BEGIN " not in base64.b64decode(data.get(key) or ""):
            yield f"tls: failed to find any PEM data in {name} input"
            return


def _claim(obj: Object, old: Object | None) -> Iterator[str]:
    if _BETA_CLASS in (obj["metadata"].get("annotations") or {}):
        yield f'metadata.annotations[{_BETA_CLASS}]: deprecated since v1.8; use "storageClassName" attribute instead'


def _service_account(obj: Object, old: Object | None) -> Iterator[str]:
    before = old["metadata"].get("annotations") or {} if old is not None else {}
    if _MOUNTABLE in (obj["metadata"].get("annotations") or {}) and _MOUNTABLE not in before:
        yield (f"metadata.annotations[{_MOUNTABLE}]: deprecated in v1.32+; "
               "prefer separate namespaces to isolate access to mounted secrets")


def _stateful_set(obj: Object, old: Object | None) -> Iterator[str]:
    if ((obj.get("spec") or {}).get("revisionHistoryLimit") or 0) < 0:
        yield ("spec.revisionHistoryLimit: a negative value retains all historical revisions; "
               "a value >= 0 is recommended")


def _driver(obj: Object, old: Object | None) -> Iterator[str]:
    spec = obj.get("spec") or {}
    before = (old.get("spec") or {} if old is not None else {}).get("tokenRequests")
    if spec.get("tokenRequests") not in (None, [], before) and spec.get("serviceAccountTokenInSecrets") is None:
        yield ("spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent "
               "possible logging of tokens in volume attributes")


def _slice(obj: Object, old: Object | None) -> Iterator[str]:
    if obj.get("addressType") == "FQDN":
        yield "spec.addressType: FQDN endpoints are deprecated"


_OWN: dict[tuple[str, str], Callable[[Object, Object | None], Iterator[str]]] = {
    ("", "Service"): _service,
    ("", "Secret"): _secret,
    ("", "PersistentVolumeClaim"): _claim,
    ("", "ServiceAccount"): _service_account,
    ("apps", "StatefulSet"): _stateful_set,
    ("storage.k8s.io", "CSIDriver"): _driver,
    ("discovery.k8s.io", "EndpointSlice"): _slice,
}
