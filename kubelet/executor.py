"""Does what a plan says, one action at a time. It decides nothing."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from kubelet.cgroups import PodCgroups
from kubelet.config.dns import ClusterDns, DnsSettings, compute_dns, parse_resolv_conf
from kubelet.config.hosts import kernel_hostname
from kubelet.config.resources import linux_resources
from kubelet.config.sandbox import sandbox_config
from kubelet.cri import CriError, Runtime
from kubelet.cri.stray import remove_container
from kubelet.hooks import run_hook
from kubelet.logs.paths import container_log_path, link_name, pod_log_directory
from kubelet.logs.rotation import rotated_files
from kubelet.memory import PodMemory
from kubelet.observed import PodRuntime
from kubelet.plan.actions import (
    Action,
    CreateSandbox,
    RemoveContainer,
    RemoveSandbox,
    ReportBackOff,
    ResizeContainer,
    StartContainer,
    Stop,
    StopContainers,
    StopSandbox,
)
from kubelet.podspec import Pod, describe_pod, find_container, is_host_network, pod_uid
from kubelet.probes.handlers import Target
from kubelet.settings import Options
from kubelet.starter import ContainerStarter, NodeView, StartFailed, Tell, field_path
from machinery.runtime.clock import SYSTEM_CLOCK, Clock
from proto import cri_pb2 as cri

log = structlog.get_logger(__name__)

SANDBOX = "sandbox"
MIN_GRACE_AFTER_HOOK = 2


class Executor:
    def __init__(
        self, options: Options, runtime: Runtime, starter: ContainerStarter, cgroups: PodCgroups, node: NodeView,
        tell: Tell, handler_of: Callable[[Pod], Awaitable[str]], *, clock: Clock = SYSTEM_CLOCK,
    ) -> None:  # fmt: skip
        self._options, self._runtime, self._starter, self._cgroups = options, runtime, starter, cgroups
        self._node, self._tell, self._handler_of, self._clock = node, tell, handler_of, clock

    async def run(self, pod: Pod, action: Action, runtime: PodRuntime, memory: PodMemory) -> bool:
        """False when it failed and the plan has to be made anew later; the failure is in ``memory``."""
        match action:
            case CreateSandbox():
                return await self._create_sandbox(pod, action.attempt, memory)
            case StartContainer():
                return await self._start(pod, action, runtime, memory)
            case StopContainers():
                await asyncio.gather(*(self._stop(pod, stop, runtime, memory) for stop in action.stops))
            case StopSandbox():
                await self._runtime.stop_pod_sandbox(action.sandbox_id)
            case ResizeContainer():
                return await self._resize(pod, action, memory)
            case RemoveContainer():
                await self._remove_container(pod, action.container_id, runtime)
            case RemoveSandbox():
                await self._runtime.remove_pod_sandbox(action.sandbox_id)
            case ReportBackOff():
                self._report_back_off(pod, action, memory)
        return True

    # -- sandboxes

    def sandbox_config(self, pod: Pod, attempt: int) -> cri.PodSandboxConfig:
        return sandbox_config(
            pod, attempt=attempt, hostname=kernel_hostname(pod, self._options.cluster_domain), dns=self._dns(pod),
            log_directory=str(pod_log_directory(self._options.pod_logs, pod)),
            cgroup_parent=self._cgroups.parent_of(pod),
        )  # fmt: skip

    def _dns(self, pod: Pod) -> DnsSettings:
        try:
            machine = parse_resolv_conf(self._options.resolv_conf.read_text())
        except OSError:
            machine = DnsSettings()
        cluster = ClusterDns(self._options.cluster_dns, self._options.cluster_domain)
        return compute_dns(pod, cluster, machine)

    async def _create_sandbox(self, pod: Pod, attempt: int, memory: PodMemory) -> bool:
        pod_log_directory(self._options.pod_logs, pod).mkdir(parents=True, exist_ok=True)
        self._cgroups.ensure(pod)
        try:
            if pod["spec"].get("hostUsers") is False:
                raise CriError("UNIMPLEMENTED", "the container runtime does not support user namespaces")
            await self._runtime.run_pod_sandbox(self.sandbox_config(pod, attempt), await self._handler_of(pod))
        except CriError as error:
            message = f"Failed to create pod sandbox: {error}"
            self._tell(pod, "Warning", "FailedCreatePodSandBox", message, "")
            memory.fail(SANDBOX, "FailedCreatePodSandBox", message, self._now())
            return False
        memory.succeed(SANDBOX)
        return True

    # -- containers

    async def _start(self, pod: Pod, action: StartContainer, runtime: PodRuntime, memory: PodMemory) -> bool:
        sandbox = runtime.sandbox
        attempt = 0 if sandbox is None else sandbox.attempt
        try:
            await self._starter.start(pod, action, runtime, self.sandbox_config(pod, attempt))
        except StartFailed as error:
            if error.recorded:
                memory.succeed(action.name)
            else:
                memory.fail(action.name, error.reason, error.message, self._now(), error.retry_after_seconds)
            return False
        memory.succeed(action.name)
        return True

    async def _stop(self, pod: Pod, stop: Stop, runtime: PodRuntime, memory: PodMemory) -> None:
        """The hook runs inside the grace period; what is left of it, at least two seconds, is the container's."""
        if stop.message and stop.container_id not in memory.hooks_run:
            self._tell(pod, "Normal", "Killing", stop.message, field_path(pod, stop.name))
        began = self._clock.monotonic()
        spec = find_container(pod, stop.name) or {}
        hook = (spec.get("lifecycle") or {}).get("preStop")
        grace = stop.grace_seconds
        if hook and stop.run_pre_stop and stop.container_id not in memory.hooks_run:
            memory.hooks_run.add(stop.container_id)
            await self._pre_stop(pod, stop, spec, hook, runtime)
            grace = max(grace - int(self._clock.monotonic() - began), MIN_GRACE_AFTER_HOOK)
        memory.hooks_run.add(stop.container_id)
        try:
            await self._runtime.stop_container(stop.container_id, grace)
        except CriError as error:
            if not error.is_not_found:
                raise

    async def _pre_stop(
        self, pod: Pod, stop: Stop, spec: dict[str, object], hook: dict[str, object], runtime: PodRuntime
    ) -> None:
        sandbox = runtime.sandbox
        addresses = self._node.host_ips if is_host_network(pod) else (sandbox.ips if sandbox is not None else ())
        target = Target(self._runtime, stop.container_id, spec, addresses[0] if addresses else "")
        try:
            async with asyncio.timeout(stop.grace_seconds):
                problem = await run_hook(target, hook)
        except TimeoutError:
            problem = f"not done after {stop.grace_seconds} s"
        if problem is not None:
            log.info("preStop hook failed", pod=pod["metadata"]["name"], container=stop.name, problem=problem)
            self._tell(pod, "Warning", "FailedPreStopHook", "PreStopHook failed", field_path(pod, stop.name))

    async def _resize(self, pod: Pod, action: ResizeContainer, memory: PodMemory) -> bool:
        """The pod's own limits are raised before and lowered after its containers', as the kernel wants it."""
        spec = find_container(pod, action.name) or {}
        what = f"resize/{action.name}"
        self._cgroups.ensure(pod)
        try:
            resources = linux_resources(pod, spec, self._node.memory_capacity)
            resources.oom_score_adj = 0
            await self._runtime.update_container_resources(action.container_id, resources)
        except CriError as error:
            memory.fail(what, "Error", error.message, self._now())
            return False
        self._cgroups.ensure(pod)
        memory.succeed(what)
        memory.in_force[action.container_id] = spec.get("resources") or {}
        return True

    def _report_back_off(self, pod: Pod, action: ReportBackOff, memory: PodMemory) -> None:
        if action.container_id in memory.back_off_told:
            return
        memory.back_off_told = {action.container_id, *list(memory.back_off_told)[:20]}
        message = f"Back-off restarting failed container {action.name} in pod {describe_pod(pod)}"
        self._tell(pod, "Warning", "BackOff", message, field_path(pod, action.name))

    async def _remove_container(self, pod: Pod, container_id: str, runtime: PodRuntime) -> None:
        container = next((c for c in runtime.containers if c.id == container_id), None)
        await remove_container(self._runtime, container_id)
        if container is None:
            return
        log_file = pod_log_directory(self._options.pod_logs, pod) / container_log_path(
            container.name, container.restart_count
        )
        for path in [log_file, *rotated_files(log_file)]:
            path.unlink(missing_ok=True)
        (self._options.container_logs / link_name(pod, container.name, container_id)).unlink(missing_ok=True)

    # -- the end

    async def remove_pod(self, pod: Pod, runtime: PodRuntime) -> None:
        """Everything the runtime and the log folders still have of a pod that is over and gone."""
        for container in runtime.containers:
            await remove_container(self._runtime, container.id)
            (self._options.container_logs / link_name(pod, container.name, container.id)).unlink(missing_ok=True)
        for sandbox in runtime.sandboxes:
            try:
                await self._runtime.stop_pod_sandbox(sandbox.id)
                await self._runtime.remove_pod_sandbox(sandbox.id)
            except CriError as error:
                if not error.is_not_found:
                    raise
        await asyncio.to_thread(shutil.rmtree, pod_log_directory(self._options.pod_logs, pod), ignore_errors=True)
        self._remove_dangling_links()
        self._cgroups.remove(pod_uid(pod))

    def _remove_dangling_links(self) -> None:
        directory: Path = self._options.container_logs
        if not directory.exists():
            return
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_symlink() and not os.path.exists(entry.path):
                    os.unlink(entry.path)

    def _now(self) -> float:
        return self._clock.now().timestamp()

