"""Small objects for controller tests. ``NOW`` is the instant at which the tests take place."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from machinery.meta.objects import deep_copy, format_time

Object = dict[str, Any]

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
_serial = itertools.count(1)


def ago(seconds: float) -> str:
    return format_time(NOW - timedelta(seconds=seconds))


def meta(name: str, namespace: str = "ns", **more: Any) -> Object:
    serial = next(_serial)
    return {
        "name": name, "namespace": namespace, "uid": f"uid-{name}-{serial}", "resourceVersion": str(serial),
        "creationTimestamp": ago(100), "generation": 1, **more,
    }  # fmt: skip


def owner_ref(owner: Object, kind: str, **more: Any) -> Object:
    return {"apiVersion": "apps/v1", "kind": kind, "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
            "controller": True, "blockOwnerDeletion": True, **more}  # fmt: skip


def pod(
    name: str = "p", *, phase: str = "Running", ready: bool | None = None, ready_for: float = 50, node: str = "n1",
    labels: dict[str, str] | None = None, deleting: bool = False, **more: Any,
) -> Object:
    """``ready`` defaults to "running means ready"; further keywords go into metadata."""
    is_ready = phase == "Running" if ready is None else ready
    made: Object = {
        "apiVersion": "v1", "kind": "Pod", "metadata": meta(name, labels=labels or {"app": "a"}, **more),
        "spec": {"containers": [{"name": "c", "image": "x"}]}, "status": {"phase": phase},
    }  # fmt: skip
    if node:
        made["spec"]["nodeName"] = node
    made["status"]["conditions"] = [
        {"type": "Ready", "status": "True" if is_ready else "False", "lastTransitionTime": ago(ready_for)}
    ]
    if deleting:
        made["metadata"]["deletionTimestamp"] = ago(1)
    return made


def ended(made: Object, exit_code: int, *, finished: float = 3600, container: str = "c") -> Object:
    """The pod with a terminated container."""
    state = {"terminated": {"exitCode": exit_code, "finishedAt": ago(finished)}}
    made["status"]["containerStatuses"] = [{"name": container, "state": state, "restartCount": 0}]
    made["status"]["phase"] = "Succeeded" if exit_code == 0 else "Failed"
    made["status"]["conditions"] = []
    return made


def template(image: str = "x:1", **labels: str) -> Object:
    return {"metadata": {"labels": labels or {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": image}]}}


def workload(kind: str, name: str = "w", **spec: Any) -> Object:
    base = {"selector": {"matchLabels": {"app": "a"}}, "template": template()}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": meta(name), "spec": {**base, **spec}, "status": {}}


def node(name: str, *, ready: str | None = "True", labels: dict[str, str] | None = None, **spec: Any) -> Object:
    made: Object = {
        "apiVersion": "v1", "kind": "Node", "metadata": meta(name, "", labels=labels or {}), "spec": spec, "status": {},
    }  # fmt: skip
    del made["metadata"]["namespace"]
    if ready is not None:
        made["status"]["conditions"] = [{"type": "Ready", "status": ready, "lastTransitionTime": ago(500)}]
    return made


def clone(obj: Object) -> Object:
    return deep_copy(obj)  # type: ignore[no-any-return]


def names(objects: Any) -> list[str]:
    return [obj["metadata"]["name"] for obj in objects]
