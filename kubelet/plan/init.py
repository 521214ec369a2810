"""Init containers in order, each to success; sidecars among them start and stay.

The pod is initialized once every ordinary init container succeeded and every sidecar has started. Its app containers
being there proves that too: results of init containers may have been collected meanwhile and are not run again.
"""

from __future__ import annotations

from kubelet.observed import CREATED, Observed
from kubelet.plan.actions import Draft, RemoveContainer
from kubelet.plan.containers import in_sandbox, next_count, plan_container, restart, start
from kubelet.plan.restart import should_restart
from kubelet.podspec import ContainerSpec, Pod, app_containers, init_containers, is_sidecar, sidecars


def is_initialized(pod: Pod, observed: Observed) -> bool:
    """Whether app containers exist in the current sandbox."""
    return any(in_sandbox(observed.runtime, spec["name"]) is not None for spec in app_containers(pod))


def plan_init_containers(draft: Draft, pod: Pod, observed: Observed, now: float) -> bool:
    """Adds what initialization needs next; True when the app containers may start."""
    if is_initialized(pod, observed):
        for spec in sidecars(pod):
            plan_container(draft, pod, spec, observed, now)
        return True
    return all(_step(draft, pod, spec, observed, now) for spec in init_containers(pod))


def _step(draft: Draft, pod: Pod, spec: ContainerSpec, observed: Observed, now: float) -> bool:
    """One init container; True when the next may follow."""
    name = spec["name"]
    latest = in_sandbox(observed.runtime, name)
    if is_sidecar(spec):
        plan_container(draft, pod, spec, observed, now)
        return latest is not None and latest.is_running and latest.id in observed.started
    if latest is None:
        start(draft, name, observed, now, restart_count=next_count(observed.runtime, name))
        return False
    if latest.state == CREATED:
        draft.add(RemoveContainer(latest.id))
        start(draft, name, observed, now, latest.restart_count, latest.backoff_step)
        return False
    if not latest.is_exited:
        return False
    if latest.succeeded:
        return True
    if _may_retry(pod, spec, observed):
        restart(draft, pod, spec, latest, observed, now)
    return False


def _may_retry(pod: Pod, spec: ContainerSpec, observed: Observed) -> bool:
    latest = observed.runtime.latest(spec["name"])
    return latest is not None and should_restart(pod, spec, latest)


def init_failed(pod: Pod, observed: Observed) -> str | None:
    """The name of an init container that failed for good, which fails the pod."""
    if is_initialized(pod, observed):
        return None
    for spec in init_containers(pod):
        latest = in_sandbox(observed.runtime, spec["name"])
        if latest is None or is_sidecar(spec):
            continue
        if latest.is_exited and not latest.succeeded and not should_restart(pod, spec, latest):
            return str(spec["name"])
    return None
