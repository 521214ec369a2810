"""`plan_pod`: from what a pod should be and what the runtime has, the actions that close the gap. Pure.

Any plan at any time is safe: it is computed from the whole state, never from what changed. The same function serves
the first start, a crash, a probe failure, an agent that was restarted, and a deletion.
"""

from __future__ import annotations

from kubelet.observed import Observed
from kubelet.plan.actions import Draft, Plan, RemoveContainer, RemoveSandbox, ResizeContainer, Stop, StopContainers
from kubelet.plan.containers import plan_app_containers, plan_ephemeral_containers
from kubelet.plan.init import init_failed, plan_init_containers
from kubelet.plan.resize import DEFERRED
from kubelet.plan.sandbox import may_run_again, plan_sandbox
from kubelet.plan.termination import plan_termination
from kubelet.podspec import Pod, app_containers, grace_period_seconds

KEPT_PER_NAME = 2
#: When to ask again whether there is room.
DEFERRED_SECONDS = 10.0

__all__ = ["Plan", "completion", "plan_collection", "plan_pod"]


def plan_pod(pod: Pod, observed: Observed, now: float) -> Plan:
    """What to do for this pod now."""
    if observed.ending is not None:
        return plan_termination(pod, observed, observed.ending, now)
    draft = Draft()
    if not observed.volumes_ready:
        return draft.done()
    if plan_sandbox(draft, pod, observed):
        plan_ephemeral_containers(draft, pod, observed, now)
        if plan_init_containers(draft, pod, observed, now):
            plan_app_containers(draft, pod, observed, now)
            plan_resize(draft, pod, observed, now)
    draft.add(*plan_collection(observed))
    return draft.done()


def plan_resize(draft: Draft, pod: Pod, observed: Observed, now: float) -> None:
    """Changes in place where the container allows it, else by a restart; a change that does not fit now is asked
    about again."""
    resize = observed.resize
    if resize is None:
        return
    if resize.reason == DEFERRED:
        draft.wake(now + DEFERRED_SECONDS)
    for change in resize.changes:
        failure = observed.failures.get(f"resize/{change.name}")
        if failure is not None and now < failure.retry_at:
            draft.wake(failure.retry_at)
        elif change.restart:
            message = f"Container {change.name} resize requires restart"
            draft.add(StopContainers((Stop(change.container_id, change.name, grace_period_seconds(pod), message),)))
        else:
            draft.add(ResizeContainer(change.container_id, change.name))


def completion(pod: Pod, observed: Observed) -> bool:
    """Whether the pod has done its work (or failed for good): then it ends like a deleted one, sidecars last."""
    runtime = observed.runtime
    if init_failed(pod, observed) is not None:
        return True
    names = [spec["name"] for spec in app_containers(pod)]
    latest = [runtime.latest(name) for name in names]
    if any(container is None or not container.is_exited for container in latest):
        return False
    return not may_run_again(pod, observed)


def plan_collection(observed: Observed) -> list[RemoveContainer | RemoveSandbox]:
    """Containers older than the two newest of each name, and dead sandboxes that hold nothing any more.

    The newest shows the state, the one before it the last state and the log of `--previous`.
    """
    runtime = observed.runtime
    removals: list[RemoveContainer | RemoveSandbox] = []
    kept_sandboxes: set[str] = set()
    seen: dict[str, int] = {}
    for container in runtime.containers:
        seen[container.name] = seen.get(container.name, 0) + 1
        if seen[container.name] > KEPT_PER_NAME and container.is_exited:
            removals.append(RemoveContainer(container.id))
        else:
            kept_sandboxes.add(container.sandbox_id)
    for sandbox in runtime.sandboxes[1:]:
        if not sandbox.ready and sandbox.id not in kept_sandboxes:
            removals.append(RemoveSandbox(sandbox.id))
    return removals
