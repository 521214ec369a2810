"""One pod's loop: look, decide, do, tell, and sleep until something happens.

The loop is level-based: it never acts on an event, an event only wakes it. Everything slow (a pull, a hook, a graceful
stop) happens inside the loop, so that a pod never has two of its changes under way; a deletion interrupts what the loop
is doing, because nobody should wait for a pull to see a pod die.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import structlog

from kubelet.cgroups import PodCgroups
from kubelet.cri import CriError, Runtime
from kubelet.ending import DEADLINE_MESSAGE, DEADLINE_REASON, deadline, decide_ending, must_hurry
from kubelet.executor import SANDBOX, Executor
from kubelet.memory import PodMemory
from kubelet.observed import Ending, Observed, PodRuntime
from kubelet.observer import Observer
from kubelet.plan import Plan, completion, plan_pod
from kubelet.plan.actions import Action, CreateSandbox, ReportBackOff, StartContainer, StopContainers, StopSandbox
from kubelet.plan.resize import Resize, compute_resize, describe_resize, resources_in_force
from kubelet.podspec import Pod, grace_period_seconds, is_static, pod_key, pod_uid
from kubelet.probes import ProbeManager
from kubelet.starter import NodeView, Tell
from kubelet.status import NodeFacts, compute_status
from kubelet.status.writer import StatusWriter
from kubelet.volumes.manager import SetUpFailed, VolumeManager
from machinery.client import Client, ConnectError
from machinery.meta.errors import ApiError, is_conflict, is_not_found
from machinery.runtime.clock import SYSTEM_CLOCK, Clock

log = structlog.get_logger(__name__)

VOLUMES = "volumes"
#: Files that come from the API are compared again this often.
REFRESH_SECONDS = 60.0
RUNTIME_RETRY_SECONDS = 2.0
FINAL_STATUS_SECONDS = 10.0
BUSY_RETRY_SECONDS = 0.1
BROKEN_RETRY_SECONDS = 10.0
#: The runtime's own books may lag a moment behind its events.
STALE_LOOK_SECONDS = 0.02
STALE_LOOKS = 50


@dataclass(slots=True)
class WorkerContext:
    """What all workers share."""

    client: Client
    runtime: Runtime
    observer: Observer
    executor: Executor
    probes: ProbeManager
    volumes: VolumeManager
    cgroups: PodCgroups
    writer: StatusWriter
    node: NodeView
    tell: Tell
    node_object: Callable[[], dict[str, Any] | None]
    others: Callable[[str], list[Pod]]
    ended: Callable[[str], None]
    forget: Callable[[str], None]
    clock: Clock = SYSTEM_CLOCK


class PodWorker:
    def __init__(self, context: WorkerContext, pod: Pod, *, refused: tuple[str, str] | None = None) -> None:
        self._context, self.pod = context, pod
        self.uid = pod_uid(pod)
        self.runtime = PodRuntime(self.uid)
        self.memory = PodMemory()
        self.removed = False
        self.finished = False
        self._cleaned = False
        self._records_kept = False
        self._deleting_object = False
        self._refreshed_at = 0.0
        self._refresh_due = False
        self._wake = asyncio.Event()
        self._turn: asyncio.Task[float | None] | None = None
        if refused is not None:
            self.memory.ending = Ending(self._now(), 0, *refused, refused=True)

    @property
    def holds_resources(self) -> bool:
        """Whether the pod counts against the node's room. One whose object is gone does not, though it may still be
        ending: the scheduler has given its room away and was right to."""
        refused = self.memory.ending is not None and self.memory.ending.refused
        gone = self.removed or self._deleting_object
        return not self.finished and not refused and not gone

    # -- what happens outside

    def wake(self) -> None:
        self._wake.set()

    def exited(self, container_id: str) -> None:
        """The runtime says that a container or the sandbox ended."""
        self.memory.exits.add(container_id)
        self.memory.exit_looks = 0
        self._wake.set()

    def update(self, pod: Pod) -> None:
        before, self.pod = self.pod, pod
        if any(pod["metadata"].get(key) != before["metadata"].get(key) for key in ("labels", "annotations")):
            self._refresh_due = True  # the downward API shows them
        if must_hurry(before, pod):
            self._interrupt()
        self._wake.set()

    def remove(self) -> None:
        """The object is gone: end everything, and leave nothing."""
        if not self.removed and not self._deleting_object:
            self.removed = True
            self._interrupt()
        self._wake.set()

    def evict(self, reason: str, message: str, grace_seconds: int, *, disruption: bool = False) -> None:
        if self.memory.ending is None:
            self._context.tell(self.pod, "Warning", reason, message, "")
            self.memory.ending = Ending(self._now(), grace_seconds, reason, message, disruption=disruption)
            self._interrupt()
            self._wake.set()

    def _interrupt(self) -> None:
        if self._turn is not None and not self._turn.done():
            self._turn.cancel()

    # -- the loop

    async def run(self) -> None:
        """Until the pod is over and gone."""
        while True:
            self._wake.clear()
            self._turn = asyncio.create_task(self._one_turn(), name=f"pod/{pod_key(self.pod)}")
            try:
                wake_at = await asyncio.shield(self._turn)
            except asyncio.CancelledError:
                if self._turn.cancelled() and not _cancelling():
                    continue  # interrupted by a deletion: look again at once
                self._turn.cancel()
                await asyncio.gather(self._turn, return_exceptions=True)
                raise
            if self._cleaned:
                self._context.ended(self.uid)
                return
            await self._sleep_until(wake_at)

    async def _sleep_until(self, wake_at: float | None) -> None:
        if wake_at is None:
            await self._wake.wait()
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(wake_at - self._now(), 0.001)):
                await self._wake.wait()

    async def _one_turn(self) -> float | None:
        """Looks and acts until nothing is left to do now; when to look again by itself."""
        try:
            return await self._settle()
        except CriError as error:
            if error.is_busy:
                return self._now() + BUSY_RETRY_SECONDS
            log.warning("runtime call failed, trying again", pod=pod_key(self.pod), error=str(error))
        except (ApiError, ConnectError) as error:
            log.info("API call failed, trying again", pod=pod_key(self.pod), error=str(error))
        except OSError as error:
            log.warning("pod not settled, trying again", pod=pod_key(self.pod), error=str(error))
        except Exception:  # one pod's trouble must not end the agent, nor the pod's own loop
            log.exception("pod loop broke, trying again", pod=pod_key(self.pod))
            return self._now() + BROKEN_RETRY_SECONDS
        return self._now() + RUNTIME_RETRY_SECONDS

    async def _settle(self) -> float | None:
        while True:
            stale = await self._look()
            now = self._now()
            if stale:
                return now + STALE_LOOK_SECONDS
            volumes_ready = await self._ensure_volumes()
            plan = self._decide(volumes_ready)
            self._report(plan)
            if plan.finished:
                await self._finish()
                return None
            sandbox_failure = self.memory.failures.get(SANDBOX)
            acted = False
            for action in plan.actions:
                if isinstance(action, CreateSandbox) and sandbox_failure and now < sandbox_failure.retry_at:
                    return sandbox_failure.retry_at
                changed = await self._context.executor.run(self.pod, action, self.runtime, self.memory)
                acted = acted or not isinstance(action, ReportBackOff)
                self._expect_exits(action)
                if not changed and isinstance(action, CreateSandbox):
                    break
                if isinstance(action, StartContainer):
                    await self._look()
                    self._report(self._decide(volumes_ready))
            if not acted:
                return self._next_look(plan)

    def _expect_exits(self, action: Action) -> None:
        """What was just stopped must look stopped; the runtime's list may be a moment behind."""
        if isinstance(action, StopContainers):
            self.memory.exits.update(stop.container_id for stop in action.stops)
        elif isinstance(action, StopSandbox):
            self.memory.exits.add(action.sandbox_id)
        self.memory.exit_looks = 0

    def _next_look(self, plan: Plan) -> float | None:
        until = None if self.memory.ending is not None else deadline(self.pod, self._latest_status())
        times = [plan.wake_at, until]
        if VOLUMES in self.memory.failures:
            times.append(self.memory.failures[VOLUMES].retry_at)
        elif self.memory.ending is None and self._context.volumes.needs_refresh(self.pod):
            times.append(self._refreshed_at + REFRESH_SECONDS)
        known = [at for at in times if at is not None]
        return min(known) if known else None

    # -- look

    async def _look(self) -> bool:
        """True when the answer is older than an event that was already told."""
        self.runtime = await self._context.observer.fetch(self.uid)
        running = {c.id for c in self.runtime.running()} | {s.id for s in self.runtime.sandboxes if s.ready}
        self.memory.in_force = {key: value for key, value in self.memory.in_force.items() if key in running}
        self.memory.exits &= running
        if self.memory.exits and self.memory.exit_looks < STALE_LOOKS:
            self.memory.exit_looks += 1
            return True
        self.memory.exits.clear()
        self.memory.exit_looks = 0
        self._context.probes.update(self.pod, self.runtime, ending=self._ending() is not None)
        return False

    async def _ensure_volumes(self) -> bool:
        """Ready, or why not; also the refresh of their files while the pod runs."""
        if self._ending() is not None or (self.memory.ending and self.memory.ending.refused):
            return True
        now = self._now()
        failure = self.memory.failures.get(VOLUMES)
        if failure is not None and now < failure.retry_at:
            return bool(self._refreshed_at)
        fresh = self._refreshed_at and now < self._refreshed_at + REFRESH_SECONDS and not self._refresh_due
        if fresh and failure is None:
            return True
        self._refresh_due = False
        sandbox = self.runtime.sandbox
        try:
            await self._context.volumes.ensure(
                self.pod, pod_ips=sandbox.ips if sandbox is not None else (), host_ips=self._context.node.host_ips,
                allocatable=self._context.node.allocatable,
            )  # fmt: skip
        except SetUpFailed as error:
            self._context.tell(self.pod, "Warning", "FailedMount", error.event_message, "")
            self.memory.fail(VOLUMES, "FailedMount", error.message, now)
            return bool(self._refreshed_at)
        self.memory.succeed(VOLUMES)
        self._refreshed_at = now
        return True

    # -- decide

    def _observed(self, volumes_ready: bool = True) -> Observed:
        started, ready, unhealthy = self._context.probes.verdicts(self.uid)
        failures = {name: f for name, f in self.memory.failures.items() if name not in (SANDBOX, VOLUMES)}
        in_force = {**resources_in_force(self._latest_status(), self.runtime), **self.memory.in_force}
        return Observed(
            self.runtime, started, ready, unhealthy, failures, self._ending(), volumes_ready, in_force,
            self._resize(in_force),
        )  # fmt: skip

    def _resize(self, in_force: dict[str, Any]) -> Resize | None:
        node = self._context.node_object()
        if self.memory.ending is not None or node is None:
            return None
        resize = compute_resize(self.pod, self.runtime, in_force, self._context.others(self.uid), node)
        if resize is not None:
            errors = [f.message for what, f in self.memory.failures.items() if what.startswith("resize/")]
            resize = dataclasses.replace(resize, error=errors[0] if errors else "")
        self._tell_resize(resize)
        return resize

    def _tell_resize(self, resize: Resize | None) -> None:
        """One event a step: started, waiting with its reason, completed."""
        generation = int(self.pod["metadata"].get("generation") or 0)
        step = "Completed" if resize is None else resize.reason or "Started"
        told = self.memory.resize_told
        if told == (generation, step) or (resize is None and told[1] != "Started"):
            return
        self.memory.resize_told = (generation, step)
        message = "" if resize is None else resize.message
        kind: Literal["Normal", "Warning"] = "Warning" if message else "Normal"
        words = step if message else step.lower()
        self._context.tell(
            self.pod, kind, f"Resize{step}", f"Pod resize {words}: {describe_resize(self.pod, message)}", ""
        )

    def _decide(self, volumes_ready: bool) -> Plan:
        observed = self._observed(volumes_ready)
        if observed.ending is None and volumes_ready and completion(self.pod, observed):
            self.memory.ending = Ending(self._now(), grace_period_seconds(self.pod))
            observed = self._observed(volumes_ready)
        return plan_pod(self.pod, observed, self._now())

    def _ending(self) -> Ending | None:
        """Why the pod has to end, if it has to; the deadline's fall is told once."""
        known = self.memory.ending
        ending = decide_ending(self.pod, known, self._latest_status(), self._now(), removed=self.removed)
        if ending is not None and known is None and ending.reason == DEADLINE_REASON:
            self._context.tell(self.pod, "Normal", DEADLINE_REASON, DEADLINE_MESSAGE, "")
        self.memory.ending = ending
        return ending

    def _latest_status(self) -> dict[str, Any]:
        return self._context.writer.latest(self.pod).get("status") or {}

    # -- tell

    def _report(self, plan: Plan) -> None:
        if self.removed:
            return
        latest = self._context.writer.latest(self.pod)
        phase = (latest.get("status") or {}).get("phase")
        if phase in ("Succeeded", "Failed") and not self.runtime.containers and not self.runtime.sandboxes:
            return  # over before this agent came; nothing is known that the object does not say better
        basis = {**self.pod, "status": latest.get("status") or {}} if latest is not self.pod else self.pod
        node = NodeFacts(self._context.node.host_ips)
        status = compute_status(
            basis, self._observed(), plan.waiting, node, self._now(), ended=plan.finished
        )
        self._context.writer.submit(self.pod, status)

    # -- end

    async def _finish(self) -> None:
        """Nothing runs any more. The final status is written before the object goes, the object before its remains."""
        deleting = bool(self.pod["metadata"].get("deletionTimestamp"))
        self._context.probes.forget(self.uid)
        if not self.removed:
            await self._write_final_status()
        if not self._records_kept or self.removed or deleting:
            await asyncio.to_thread(
                self._context.volumes.tear_down, self.uid, keep_records=not (self.removed or deleting)
            )
            self._context.cgroups.remove(self.uid)
            self._records_kept = True
        if not self.finished:
            self.finished = True
            self._context.forget(self.uid)
        if deleting and not self.removed and not is_static(self.pod):
            await self._delete_object()
            self.removed = True
        if self.removed:
            await self._context.executor.remove_pod(self.pod, self.runtime)
            self._cleaned = True

    async def _write_final_status(self) -> None:
        """Waits for it, but not for ever: a status that the server refuses must not keep the pod from going."""
        try:
            async with asyncio.timeout(FINAL_STATUS_SECONDS):
                await self._context.writer.flush(self.uid)
        except TimeoutError:
            log.warning("going on without the final status", pod=pod_key(self.pod))

    async def _delete_object(self) -> None:
        meta = self.pod["metadata"]
        self._deleting_object = True  # the watch may tell of it before the answer is here
        try:
            await self._context.client.delete(
                "v1", "pods", meta["name"], namespace=meta["namespace"], grace_period_seconds=0, uid=meta["uid"]
            )
        except ApiError as error:
            if not (is_not_found(error) or is_conflict(error)):
                raise
        finally:
            self._deleting_object = False
        log.info("pod deleted", pod=pod_key(self.pod))

    def _now(self) -> float:
        return self._context.clock.now().timestamp()


def _cancelling() -> bool:
    """Whether the current task itself is asked to end, as opposed to something that it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
