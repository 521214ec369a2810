"""Whether the pod's sandbox is good, must be made, or made again."""

from __future__ import annotations

from kubelet.observed import CREATED, Observed, Sandbox
from kubelet.plan.actions import CreateSandbox, Draft, RemoveContainer, Stop, StopContainers, StopSandbox
from kubelet.plan.restart import should_restart
from kubelet.podspec import Pod, app_containers, is_host_network


def plan_sandbox(draft: Draft, pod: Pod, observed: Observed) -> bool:
    """True when the newest sandbox can hold containers; else the plan now makes one (or, for a pod that has ended
    and must not run again, does nothing)."""
    runtime = observed.runtime
    newest = runtime.sandbox
    if newest is not None and is_usable(pod, newest):
        for other in runtime.sandboxes[1:]:
            if other.ready:  # two at once: a crash between create and its record; the newest wins
                draft.add(StopSandbox(other.id))
        return True
    if newest is not None:
        draft.add(*(RemoveContainer(c.id) for c in runtime.containers if c.state == CREATED))
        doomed = tuple(
            Stop(c.id, c.name, 0, "", run_pre_stop=False) for c in runtime.unfinished() if c.state != CREATED
        )
        if doomed:
            draft.add(StopContainers(doomed))
        for sandbox in runtime.sandboxes:
            # Also a dead newest one: stopping is what gives its address back.
            if sandbox.ready or sandbox is newest:
                draft.add(StopSandbox(sandbox.id))
    if may_run_again(pod, observed):
        draft.add(CreateSandbox(0 if newest is None else newest.attempt + 1))
    return False


def is_usable(pod: Pod, sandbox: Sandbox) -> bool:
    if not sandbox.ready or sandbox.host_network != is_host_network(pod):
        return False
    return sandbox.host_network or bool(sandbox.ips)


def may_run_again(pod: Pod, observed: Observed) -> bool:
    """Whether any app container is still to run: one that never ran, or one that restarts."""
    for spec in app_containers(pod):
        latest = observed.runtime.latest(spec["name"])
        if latest is None or not latest.is_exited or should_restart(pod, spec, latest):
            return True
    return False
