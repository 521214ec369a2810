"""Readings of a pod object that several decisions share. Pure; objects are never changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

Pod = dict[str, Any]
ContainerSpec = dict[str, Any]

CONFIG_SOURCE = "kubernetes.io/config.source"
CONFIG_SEEN = "kubernetes.io/config.seen"
CONFIG_HASH = "kubernetes.io/config.hash"
CONFIG_MIRROR = "kubernetes.io/config.mirror"


def pod_uid(pod: Pod) -> str:
    """The identity that labels sandboxes: a static pod's own, also in its mirror's stead."""
    return str(pod["metadata"]["uid"])


def pod_name(pod: Pod) -> str:
    return str(pod["metadata"]["name"])


def pod_namespace(pod: Pod) -> str:
    return str(pod["metadata"].get("namespace") or "default")


def pod_key(pod: Pod) -> str:
    return f"{pod_namespace(pod)}/{pod_name(pod)}"


def describe_pod(pod: Pod) -> str:
    """``name_namespace(uid)``, as messages name a pod."""
    return f"{pod_name(pod)}_{pod_namespace(pod)}({pod_uid(pod)})"


def is_static(pod: Pod) -> bool:
    return (pod["metadata"].get("annotations") or {}).get(CONFIG_SOURCE) == "file"


def is_mirror(pod: Pod) -> bool:
    return CONFIG_MIRROR in (pod["metadata"].get("annotations") or {})


def restart_policy(pod: Pod) -> str:
    return str(pod["spec"].get("restartPolicy") or "Always")


def init_containers(pod: Pod) -> list[ContainerSpec]:
    return list(pod["spec"].get("initContainers") or ())


def app_containers(pod: Pod) -> list[ContainerSpec]:
    return list(pod["spec"].get("containers") or ())


def ephemeral_containers(pod: Pod) -> list[ContainerSpec]:
    return list(pod["spec"].get("ephemeralContainers") or ())


def all_containers(pod: Pod) -> Iterator[ContainerSpec]:
    yield from init_containers(pod)
    yield from app_containers(pod)
    yield from ephemeral_containers(pod)


def find_container(pod: Pod, name: str) -> ContainerSpec | None:
    return next((container for container in all_containers(pod) if container["name"] == name), None)


def is_sidecar(container: ContainerSpec) -> bool:
    """An init container that keeps running: only there is ``restartPolicy: Always`` a sidecar."""
    return container.get("restartPolicy") == "Always"


def sidecars(pod: Pod) -> list[ContainerSpec]:
    return [container for container in init_containers(pod) if is_sidecar(container)]


def is_host_network(pod: Pod) -> bool:
    return bool(pod["spec"].get("hostNetwork"))


def container_hash(container: ContainerSpec) -> str:
    """Changes when the container must be made anew: of what may change in a live pod that is the image alone."""
    identity = {"name": container["name"], "image": container.get("image", "")}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]


def grace_period_seconds(pod: Pod) -> int:
    """The period in force: of the deletion if the pod is being deleted, else of the spec. Never below one second."""
    deletion = pod["metadata"].get("deletionGracePeriodSeconds")
    if pod["metadata"].get("deletionTimestamp") and deletion is not None:
        return max(int(deletion), 1)
    period = pod["spec"].get("terminationGracePeriodSeconds")
    return 30 if period is None else max(int(period), 1)


def qos_class(pod: Pod) -> str:
    """Guaranteed, Burstable or BestEffort: the status holds it from creation; a static pod's is computed."""
    known = (pod.get("status") or {}).get("qosClass")
    if known:
        return str(known)
    any_resource, guaranteed = False, True
    for container in [*init_containers(pod), *app_containers(pod)]:
        resources = container.get("resources") or {}
        requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
        for name in ("cpu", "memory"):
            if name in requests or name in limits:
                any_resource = True
            if name not in limits or requests.get(name, limits[name]) != limits[name]:
                guaranteed = False
    if not any_resource:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"
