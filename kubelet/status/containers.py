"""Container statuses: the state of the newest container of each name, the last state before it, readiness.

A container that will start again but does not run yet is *waiting*, with the reason of the wait; its end moves to
`lastState`. What the runtime no longer has (a collected container) is taken from the status that was reported before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kubelet.observed import CREATED, Container, Observed
from kubelet.plan.actions import Waiting
from kubelet.plan.restart import was_interrupted
from kubelet.podspec import ContainerSpec, Pod, init_containers, is_sidecar
from kubelet.status.times import time_text

Status = dict[str, Any]
RUNTIME_PREFIX = "containerd://"


def compute_container_statuses(
    pod: Pod, specs: Iterable[ContainerSpec], observed: Observed, waiting: Mapping[str, Waiting], *,
    kind: str, initialized: bool,
) -> list[Status]:
    """``kind`` is init, app or ephemeral; ``initialized`` tells why a container that never ran waits."""
    field = {"init": "initContainerStatuses", "app": "containerStatuses", "ephemeral": "ephemeralContainerStatuses"}
    known = {s["name"]: s for s in (pod.get("status") or {}).get(field[kind]) or ()}
    default = Waiting("PodInitializing" if init_containers(pod) and not (kind == "app" and initialized)
                      and kind != "ephemeral" else "ContainerCreating")
    return [
        _container_status(spec, observed, waiting.get(spec["name"]), known.get(spec["name"]), kind, default)
        for spec in specs
    ]  # fmt: skip


def _container_status(
    spec: ContainerSpec, observed: Observed, why: Waiting | None, known: Status | None, kind: str, default: Waiting
) -> Status:
    history = observed.runtime.history(spec["name"])
    latest = history[0] if history else None
    status: Status = {"name": spec["name"], "state": {}, "lastState": {}, "ready": False, "restartCount": 0,
                      "image": spec.get("image", ""), "imageID": ""}  # fmt: skip
    if latest is None:
        _from_before(status, known, why or default)
    else:
        _from_runtime(status, history, known, why)
    status["ready"] = _is_ready(spec, latest, observed, kind)
    if kind != "ephemeral":
        status["started"] = _is_started(spec, latest, observed, kind)
    if latest is not None:
        _add_details(status, spec, latest, observed.in_force.get(latest.id))
    return status


def _from_before(status: Status, known: Status | None, why: Waiting) -> None:
    """The runtime has nothing: an end that was reported stays, anything else waits."""
    status["state"] = {"waiting": _waiting(why)}
    if known is None:
        return
    status["restartCount"] = known.get("restartCount", 0)
    status["lastState"] = known.get("lastState") or {}
    if "terminated" in (known.get("state") or {}):
        status["state"] = known["state"]
    for key in ("imageID", "containerID"):
        if known.get(key):
            status[key] = known[key]


def _from_runtime(status: Status, history: list[Container], known: Status | None, why: Waiting | None) -> None:
    latest = history[0]
    previous = next((container for container in history[1:] if container.is_exited), None)
    status |= {"restartCount": latest.restart_count, "image": latest.image or status["image"],
               "imageID": latest.image_id, "containerID": RUNTIME_PREFIX + latest.id}  # fmt: skip
    if latest.is_running:
        status["state"] = {"running": {"startedAt": time_text(latest.started_at)}}
    elif was_interrupted(latest):
        status["state"] = {"waiting": _waiting(why or Waiting("ContainerCreating"))}
    elif latest.is_exited and why is None:
        status["state"] = {"terminated": terminated(latest)}
    elif latest.is_exited:
        status["state"] = {"waiting": _waiting(why or Waiting(""))}
        previous = latest
    else:
        reason = "ContainerCreating" if latest.state == CREATED else "ContainerStatusUnknown"
        status["state"] = {"waiting": _waiting(why or Waiting(reason))}
    if previous is not None:
        status["lastState"] = {"terminated": terminated(previous)}
    elif known is not None and known.get("restartCount") == latest.restart_count:
        status["lastState"] = known.get("lastState") or {}


def terminated(container: Container) -> Status:
    state: Status = {"exitCode": container.exit_code, "reason": container.reason or _reason(container.exit_code)}
    if container.message:
        state["message"] = container.message
    started = container.started_at or (0.0 if container.reason == "StartError" else container.created_at)
    state["startedAt"] = time_text(started)
    state["finishedAt"] = time_text(container.finished_at)
    state["containerID"] = RUNTIME_PREFIX + container.id
    return state


def _reason(exit_code: int) -> str:
    return "Completed" if exit_code == 0 else "Error"


def _waiting(why: Waiting) -> Status:
    return {"reason": why.reason, "message": why.message} if why.message else {"reason": why.reason}


def _is_ready(spec: ContainerSpec, latest: Container | None, observed: Observed, kind: str) -> bool:
    if latest is None or kind == "ephemeral":
        return False
    if kind == "init" and not is_sidecar(spec):
        return latest.succeeded
    return latest.is_running and latest.id in observed.ready and latest.id in observed.started


def _is_started(spec: ContainerSpec, latest: Container | None, observed: Observed, kind: str) -> bool:
    if latest is None or not latest.is_running:
        return False
    return True if kind == "init" and not is_sidecar(spec) else latest.id in observed.started


def _add_details(
    status: Status, spec: ContainerSpec, latest: Container, in_force: Mapping[str, Any] | None
) -> None:
    """Resources and mounts in force. An empty `resources` is said, empty mounts are not."""
    resources = (spec.get("resources") or {}) if in_force is None else in_force
    status["resources"] = {key: resources[key] for key in ("limits", "requests", "claims") if resources.get(key)}
    if resources.get("requests"):
        status["allocatedResources"] = resources["requests"]
    mounts = [_mount(mount) for mount in spec.get("volumeMounts") or ()]
    if mounts:
        status["volumeMounts"] = mounts
    if latest.user:
        status["user"] = {"linux": dict(latest.user)}


def _mount(mount: dict[str, Any]) -> Status:
    shown: Status = {"name": mount["name"], "mountPath": mount["mountPath"]}
    if mount.get("readOnly"):
        shown |= {"readOnly": True, "recursiveReadOnly": "Disabled"}
    return shown
