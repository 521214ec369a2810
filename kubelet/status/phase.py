"""The pod's phase from the states of its containers. A terminal phase is only told when nothing runs any more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kubelet.podspec import Pod, init_containers, is_sidecar, is_static, restart_policy

Status = dict[str, Any]
PENDING, RUNNING, SUCCEEDED, FAILED = "Pending", "Running", "Succeeded", "Failed"


def compute_phase(pod: Pod, init_statuses: Sequence[Status], statuses: Sequence[Status], *, ended: bool) -> str:
    """``ended``: nothing of the pod runs and the agent has decided that it is over."""
    before = (pod.get("status") or {}).get("phase")
    if before in (SUCCEEDED, FAILED):
        return str(before)  # never goes back
    phase = _phase(pod, init_statuses, statuses)
    if ended and phase == RUNNING and not is_static(pod):
        # Ended by a deletion or a decision, not by its containers: how they ended says how the pod did.
        ends = [end for end in (_end(s) for s in statuses) if end is not None]
        phase = SUCCEEDED if ends and all(end.get("exitCode") == 0 for end in ends) else FAILED
    if phase in (SUCCEEDED, FAILED) and not ended:
        return RUNNING if any_has_run(statuses) else PENDING
    return phase


def _phase(pod: Pod, init_statuses: Sequence[Status], statuses: Sequence[Status]) -> str:
    policy = restart_policy(pod)
    if not any_has_run(statuses):
        init = _init_phase(pod, init_statuses)
        if init is not None:
            return init
    waiting = sum(1 for s in statuses if "waiting" in s["state"] and not s["lastState"])
    running = sum(1 for s in statuses if "running" in s["state"])
    ended = [_end(s) for s in statuses]
    stopped = [end for end in ended if end is not None]
    if waiting:
        return PENDING
    if running:
        return RUNNING
    if stopped and (policy == "Always" or any("waiting" in s["state"] for s in statuses)):
        return RUNNING
    if stopped and all(end.get("exitCode") == 0 for end in stopped):
        return SUCCEEDED
    if stopped:
        return FAILED if policy == "Never" else RUNNING
    return PENDING


def _init_phase(pod: Pod, init_statuses: Sequence[Status]) -> str | None:
    """Pending while init containers are not through, Failed when one failed for good, None when they are done."""
    specs = {spec["name"]: spec for spec in init_containers(pod)}
    for status in init_statuses:
        spec = specs[status["name"]]
        if is_sidecar(spec):
            if not status.get("started"):
                return PENDING
            continue
        end = status["state"].get("terminated")
        if end is None:
            return PENDING
        if end.get("exitCode") != 0:
            policy = spec.get("restartPolicy") or restart_policy(pod)
            return FAILED if policy == "Never" else PENDING
    return None


def any_has_run(statuses: Sequence[Status]) -> bool:
    return any("running" in s["state"] or _end(s) is not None for s in statuses)


def _end(status: Status) -> Status | None:
    end = status["state"].get("terminated") or (status["lastState"] or {}).get("terminated")
    return end if "running" not in status["state"] else None
