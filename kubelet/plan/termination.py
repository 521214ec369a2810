"""The end of a pod: main containers together, then sidecars from last to first, then the sandbox.

All within one grace period that began when the decision to end fell. A sidecar whose turn comes after the period is
over still gets a moment, as upstream gives it, because it only now learns of the end.
"""

from __future__ import annotations

from kubelet.observed import CREATED, Container, Ending, Observed
from kubelet.plan.actions import Draft, Plan, RemoveContainer, Stop, StopContainers, StopSandbox
from kubelet.podspec import Pod, sidecars

LATE_GRACE_SECONDS = 2


def plan_termination(pod: Pod, observed: Observed, ending: Ending, now: float) -> Plan:
    draft = Draft()
    # Created and never started (the start was interrupted by the end): the runtime stops only what runs.
    draft.add(*(RemoveContainer(c.id) for c in observed.runtime.containers if c.state == CREATED))
    unfinished = [c for c in observed.runtime.unfinished() if c.state != CREATED]
    if unfinished:
        order = [spec["name"] for spec in sidecars(pod)]
        main = [container for container in unfinished if container.name not in order]
        batch = main or _last_sidecar(unfinished, order)
        left = remaining_seconds(ending, now, late=not main)
        draft.add(StopContainers(tuple(_stop(container, left) for container in batch)))
        return draft.done()
    for sandbox in observed.runtime.sandboxes:
        if sandbox.ready:
            draft.add(StopSandbox(sandbox.id))
    return draft.done(finished=not draft.actions)


def remaining_seconds(ending: Ending, now: float, *, late: bool) -> int:
    left = ending.grace_seconds - max(int(now - ending.since), 0)
    return max(left, LATE_GRACE_SECONDS if late else 1)


def _last_sidecar(unfinished: list[Container], order: list[str]) -> list[Container]:
    for name in reversed(order):
        found = [container for container in unfinished if container.name == name]
        if found:
            return found
    return []


def _stop(container: Container, grace_seconds: int) -> Stop:
    message = f"Stopping container {container.name}" if container.is_running else ""
    return Stop(container.id, container.name, grace_seconds, message, run_pre_stop=container.is_running)
