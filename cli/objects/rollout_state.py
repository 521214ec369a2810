"""How far a rollout is, in kubectl's words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cli.errors import CommandError


@dataclass(frozen=True)
class RolloutState:
    message: str
    complete: bool = False
    failed: bool = False


def rollout_state(obj: dict[str, Any]) -> RolloutState:
    kinds = {"Deployment": _deployment, "DaemonSet": _daemon_set, "StatefulSet": _stateful_set}
    if obj["kind"] not in kinds:
        raise CommandError(f"error: no status viewer has been implemented for {obj['kind']}")
    return kinds[obj["kind"]](obj)


def _observed(obj: dict[str, Any]) -> bool:
    return int(obj["metadata"].get("generation", 0)) <= int(obj.get("status", {}).get("observedGeneration") or 0)


def _deployment(obj: dict[str, Any]) -> RolloutState:
    name, spec, status = obj["metadata"]["name"], obj["spec"], obj.get("status", {})
    if not _observed(obj):
        return RolloutState("Waiting for deployment spec update to be observed...")
    for condition in status.get("conditions", ()):
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return RolloutState(f'deployment "{name}" exceeded its progress deadline', failed=True)
    wanted = spec.get("replicas", 1)
    updated, total = status.get("updatedReplicas", 0), status.get("replicas", 0)
    available = status.get("availableReplicas", 0)
    waiting = f'Waiting for deployment "{name}" rollout to finish'
    if updated < wanted:
        return RolloutState(f"{waiting}: {updated} out of {wanted} new replicas have been updated...")
    if total > updated:
        return RolloutState(f"{waiting}: {total - updated} old replicas are pending termination...")
    if available < updated:
        return RolloutState(f"{waiting}: {available} of {updated} updated replicas are available...")
    return RolloutState(f'deployment "{name}" successfully rolled out', complete=True)


def _daemon_set(obj: dict[str, Any]) -> RolloutState:
    name, status = obj["metadata"]["name"], obj.get("status", {})
    if not _observed(obj):
        return RolloutState("Waiting for daemon set spec update to be observed...")
    wanted, updated = status.get("desiredNumberScheduled", 0), status.get("updatedNumberScheduled", 0)
    available = status.get("numberAvailable", 0)
    waiting = f'Waiting for daemon set "{name}" rollout to finish'
    if updated < wanted:
        return RolloutState(f"{waiting}: {updated} out of {wanted} new pods have been updated...")
    if available < wanted:
        return RolloutState(f"{waiting}: {available} of {wanted} updated pods are available...")
    return RolloutState(f'daemon set "{name}" successfully rolled out', complete=True)


def _stateful_set(obj: dict[str, Any]) -> RolloutState:
    spec, status = obj["spec"], obj.get("status", {})
    if not _observed(obj):
        return RolloutState("Waiting for statefulset spec update to be observed...")
    wanted, ready = spec.get("replicas", 1), status.get("readyReplicas", 0)
    if ready < wanted:
        return RolloutState(f"Waiting for {wanted - ready} pods to be ready...")
    partition = spec.get("updateStrategy", {}).get("rollingUpdate", {}).get("partition", 0)
    updated = status.get("updatedReplicas", 0)
    if partition:
        if updated < wanted - partition:
            done = f"{updated} out of {wanted - partition} new pods have been updated..."
            return RolloutState(f"Waiting for partitioned roll out to finish: {done}")
        return RolloutState(f"partitioned roll out complete: {updated} new pods have been updated...", complete=True)
    if status.get("updateRevision") != status.get("currentRevision"):
        return RolloutState(f"waiting for statefulset rolling update to complete {updated} pods at revision "
                            f"{status.get('updateRevision')}...")  # fmt: skip
    return RolloutState(
        f"statefulset rolling update complete {status.get('currentReplicas', 0)} pods at revision "
        f"{status.get('currentRevision')}...", complete=True,
    )  # fmt: skip
