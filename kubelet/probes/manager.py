"""Runs the probes of every running container and keeps their verdicts.

One sleeping task a probe; nothing polls. A startup probe holds the other two back. After a restart of the agent a
container that the API calls started and ready keeps these until a probe says otherwise: the restart must not take
endpoints out of service.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from kubelet.cri import Runtime
from kubelet.observed import Container, PodRuntime
from kubelet.podspec import Pod, find_container, is_host_network, pod_uid
from kubelet.probes.handlers import Result, Target, run_probe
from kubelet.probes.results import LIVENESS, READINESS, STARTUP, Verdict, first_verdict, next_verdict
from machinery.runtime.clock import SYSTEM_CLOCK, Clock

log = structlog.get_logger(__name__)

#: The earliest look at a container.
FIRST_PROBE_SECONDS = 0.25

#: (pod, container name, kind, output) of a probe that failed.
Report = Callable[[Pod, str, str, str], None]
Wake = Callable[[str], None]


@dataclass(slots=True)
class _Probed:
    """The probes of one container that runs."""

    uid: str
    container: Container
    started: bool
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    unhealthy: str = ""
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)


class ProbeManager:
    def __init__(
        self, runtime: Runtime, report: Report, wake: Wake, *, host_address: str = "", clock: Clock = SYSTEM_CLOCK,
        rng: random.Random | None = None,
    ) -> None:  # fmt: skip
        self._runtime, self._report, self._wake, self._clock = runtime, report, wake, clock
        self.host_address = host_address
        self._rng = rng or random.Random()
        self._probed: dict[str, _Probed] = {}

    def update(self, pod: Pod, runtime: PodRuntime, *, ending: bool) -> None:
        """Starts probes of new containers, ends those of gone ones. At the end of a pod only readiness goes on."""
        uid = pod_uid(pod)
        running = {container.id: container for container in runtime.running()}
        for gone in [key for key, p in self._probed.items() if p.uid == uid and key not in running]:
            self._stop(self._probed.pop(gone))
        for container in running.values():
            if container.id not in self._probed:
                self._probed[container.id] = self._begin(pod, container)
            probed = self._probed[container.id]
            if ending:
                self._stop(probed, (STARTUP, LIVENESS))
            else:
                self._ensure_tasks(pod, probed, runtime)

    def forget(self, uid: str) -> None:
        for key in [key for key, probed in self._probed.items() if probed.uid == uid]:
            self._stop(self._probed.pop(key))

    def stop(self) -> None:
        """Ends every probe, for the end of the agent."""
        for probed in self._probed.values():
            self._stop(probed)
        self._probed.clear()

    def verdicts(self, uid: str) -> tuple[frozenset[str], frozenset[str], dict[str, str]]:
        """(started, ready, unhealthy) of the pod's running containers, by container id."""
        mine = [p for p in self._probed.values() if p.uid == uid]
        started = frozenset(p.container.id for p in mine if p.started)
        ready = frozenset(
            p.container.id for p in mine if p.verdicts.get(READINESS) is None or p.verdicts[READINESS].good
        )
        return started, ready, {p.container.id: p.unhealthy for p in mine if p.unhealthy}

    def _begin(self, pod: Pod, container: Container) -> _Probed:
        spec = find_container(pod, container.name) or {}
        before = reported(pod, container)
        probed = _Probed(pod_uid(pod), container, started=not spec.get("startupProbe") or bool(before.get("started")))
        for kind in (STARTUP, READINESS, LIVENESS):
            if spec.get(f"{kind}Probe"):
                good = bool(before.get("ready")) if kind == READINESS and before else first_verdict(kind).good
                probed.verdicts[kind] = Verdict(good)
        return probed

    def _ensure_tasks(self, pod: Pod, probed: _Probed, runtime: PodRuntime) -> None:
        spec = find_container(pod, probed.container.name)
        sandbox = runtime.sandbox
        if spec is None or sandbox is None:
            return
        address = self.host_address if is_host_network(pod) else (sandbox.ips[0] if sandbox.ips else "")
        kinds = [READINESS, LIVENESS] if probed.started else [STARTUP]
        for kind in kinds:
            probe = spec.get(f"{kind}Probe")
            if probe and kind not in probed.tasks:
                target = Target(self._runtime, probed.container.id, spec, address)
                probed.tasks[kind] = asyncio.create_task(
                    self._probe(pod, probed, kind, probe, target), name=f"probe/{probed.container.name}/{kind}"
                )

    async def _probe(self, pod: Pod, probed: _Probed, kind: str, probe: dict[str, Any], target: Target) -> None:
        period = float(probe.get("periodSeconds") or 10)
        delay = float(probe.get("initialDelaySeconds") or 0)
        age = self._clock.now().timestamp() - probed.container.started_at
        # A program needs a moment before it can answer, and a first failure would cost it a whole period.
        delay = max(delay, min(FIRST_PROBE_SECONDS, period))
        # Containers that an agent finds at its start are spread over a period, so that it does not probe all at once.
        await self._clock.sleep(max(delay - age, 0) if age < period + delay else self._rng.uniform(0, period))
        while True:
            try:
                result = await run_probe(target, probe)
            except Exception as error:  # a probe that breaks is a failed probe, whatever broke
                log.warning("probe broke", kind=kind, container=probed.container.name, error=repr(error))
                result = Result(False, str(error))
            if self._judge(pod, probed, kind, probe, result):
                return
            await self._clock.sleep(period)

    def _judge(self, pod: Pod, probed: _Probed, kind: str, probe: dict[str, Any], result: Result) -> bool:
        """Takes one result; True when this probe has nothing more to find out."""
        before = probed.verdicts[kind]
        after = next_verdict(before, result.success, probe)
        probed.verdicts[kind] = after
        if not result.success and not probed.unhealthy:  # one that is being stopped fails its other probes, of course
            self._report(pod, probed.container.name, kind, result.output)
        failed_for_good = not result.success and after.streak >= int(probe.get("failureThreshold") or 3)
        if kind in (STARTUP, LIVENESS) and failed_for_good:
            probed.unhealthy = kind
            self._wake(probed.uid)
            return True
        if kind == STARTUP and after.good:
            probed.started = True
            self._wake(probed.uid)
            return True
        if after.good != before.good:
            self._wake(probed.uid)
        return False

    @staticmethod
    def _stop(probed: _Probed, kinds: tuple[str, ...] = (STARTUP, READINESS, LIVENESS)) -> None:
        for kind in kinds:
            task = probed.tasks.get(kind)
            if task is not None and not task.done():
                task.cancel()


def reported(pod: Pod, container: Container) -> dict[str, Any]:
    """What the API says about exactly this container; empty for a new one."""
    status = pod.get("status") or {}
    for name in ("containerStatuses", "initContainerStatuses"):
        for entry in status.get(name) or ():
            if str(entry.get("containerID", "")).endswith(container.id):
                return dict(entry)
    return {}
