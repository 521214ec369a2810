"""App and ephemeral containers of a pod whose sandbox stands and whose init containers are done."""

from __future__ import annotations

from kubelet.observed import CREATED, UNKNOWN, Container, Observed, PodRuntime
from kubelet.plan.actions import Draft, RemoveContainer, ReportBackOff, StartContainer, Stop, StopContainers, Waiting
from kubelet.plan.restart import backoff_message, next_restart, should_restart, was_interrupted
from kubelet.podspec import (
    ContainerSpec,
    Pod,
    app_containers,
    container_hash,
    ephemeral_containers,
    grace_period_seconds,
)


def plan_app_containers(draft: Draft, pod: Pod, observed: Observed, now: float) -> None:
    for spec in app_containers(pod):
        plan_container(draft, pod, spec, observed, now)


def plan_ephemeral_containers(draft: Draft, pod: Pod, observed: Observed, now: float) -> None:
    """Started once, never again: whatever was made of that name is enough."""
    for spec in ephemeral_containers(pod):
        if observed.runtime.latest(spec["name"]) is None:
            start(draft, spec["name"], observed, now)


def plan_container(draft: Draft, pod: Pod, spec: ContainerSpec, observed: Observed, now: float) -> None:
    """One long-running container: start it, restart it, replace it, or leave it alone."""
    name = spec["name"]
    latest = in_sandbox(observed.runtime, name)
    if latest is None:
        earlier = observed.runtime.latest(name)
        if earlier is None or not earlier.is_exited or should_restart(pod, spec, earlier):
            # Made in an earlier sandbox: it starts again without back-off, counting on.
            start(draft, name, observed, now, restart_count=next_count(observed.runtime, name))
    elif latest.is_running:
        reason = replacement_reason(spec, latest, observed)
        if reason:
            grace = probe_grace_seconds(pod, spec, latest, observed)
            draft.add(StopContainers((Stop(latest.id, name, grace, reason),)))
    elif latest.state == CREATED:
        # The agent ended between create and start: begin again with the same count.
        draft.add(RemoveContainer(latest.id))
        start(draft, name, observed, now, latest.restart_count, latest.backoff_step)
    elif latest.state == UNKNOWN:
        # The runtime lost it: make it end; the next plan sees it ended.
        draft.add(StopContainers((Stop(latest.id, name, 0, "", run_pre_stop=False),)))
    elif should_restart(pod, spec, latest):
        restart(draft, pod, spec, latest, observed, now)


def replacement_reason(spec: ContainerSpec, running: Container, observed: Observed) -> str:
    """Why a running container must end; empty if it may go on."""
    name = spec["name"]
    if running.hash and running.hash != container_hash(spec):
        return f"Container {name} definition changed, will be restarted"
    probe = observed.unhealthy.get(running.id)
    return f"Container {name} failed {probe} probe, will be restarted" if probe else ""


def probe_grace_seconds(pod: Pod, spec: ContainerSpec, running: Container, observed: Observed) -> int:
    """A probe may bring its own grace period."""
    probe = spec.get(f"{observed.unhealthy.get(running.id, '')}Probe") or {}
    own = probe.get("terminationGracePeriodSeconds")
    return int(own) if own is not None else grace_period_seconds(pod)


def restart(draft: Draft, pod: Pod, spec: ContainerSpec, ended: Container, observed: Observed, now: float) -> None:
    """Starts ``ended`` again when its back-off is over; says so until then."""
    name = spec["name"]
    if was_interrupted(ended):
        draft.add(RemoveContainer(ended.id))
        start(draft, name, observed, now, ended.restart_count, ended.backoff_step)
        return
    if ended.hash and ended.hash != container_hash(spec):
        start(draft, name, observed, now, ended.restart_count + 1)
        return
    plan = next_restart(ended)
    if now >= plan.at:
        start(draft, name, observed, now, ended.restart_count + 1, plan.step)
        return
    draft.wake(plan.at)
    draft.waiting[name] = Waiting("CrashLoopBackOff", backoff_message(pod, name, plan.delay_seconds))
    draft.add(ReportBackOff(ended.id, name))


def start(
    draft: Draft, name: str, observed: Observed, now: float, restart_count: int = 0, backoff_step: int = 0
) -> None:
    """Adds the start unless the last try failed a moment ago."""
    failure = observed.failures.get(name)
    if failure is not None:
        draft.waiting[name] = Waiting(failure.reason, failure.message)
        if now < failure.retry_at:
            draft.wake(failure.retry_at)
            return
    draft.add(StartContainer(name, restart_count, backoff_step))


def in_sandbox(runtime: PodRuntime, name: str) -> Container | None:
    """The latest container of that name in the current sandbox."""
    sandbox = runtime.sandbox
    latest = runtime.latest(name)
    return latest if sandbox is not None and latest is not None and latest.sandbox_id == sandbox.id else None


def next_count(runtime: PodRuntime, name: str) -> int:
    latest = runtime.latest(name)
    return 0 if latest is None else latest.restart_count + 1
