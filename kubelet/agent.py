"""Assembly: every part made once, wired, started in order, ended in reverse.

A restart of the agent restarts no container: it lists what the runtime has, hears from the API what should be, and the
workers find nothing to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import structlog

from kubelet.cgroups import PodCgroups
from kubelet.cri import CriError, Runtime
from kubelet.eviction import Evictor
from kubelet.executor import Executor
from kubelet.images.collector import ImageCollector
from kubelet.images.importer import ImportFailed, import_archive
from kubelet.images.pause import PAUSE_REFERENCE, pause_image
from kubelet.images.puller import ImagePuller
from kubelet.logs.rotation import LogRotator
from kubelet.lookup import PodLookup
from kubelet.node.addresses import find_addresses
from kubelet.node.certificates import Rotation, ServingCertificate, join
from kubelet.node.machine import may_lower_oom_score, own_oom_score
from kubelet.node.reporter import NodeReporter
from kubelet.node.status import NodeSettings
from kubelet.observer import Observer
from kubelet.pods import Pods
from kubelet.podspec import Pod
from kubelet.probes import ProbeManager
from kubelet.runtimeclass import RuntimeClasses
from kubelet.settings import Options
from kubelet.source.objects import ObjectReader
from kubelet.source.static import Mirrors, StaticSource
from kubelet.starter import ContainerStarter, NodeView, field_path
from kubelet.status.writer import StatusWriter
from kubelet.termination_message import read_termination_message
from kubelet.volumes.manager import VolumeManager
from kubelet.volumes.tokens import TokenSource
from kubelet.worker import WorkerContext
from machinery.cache import Informer
from machinery.client import Client, load_kubeconfig
from machinery.runtime.clock import SYSTEM_CLOCK, Clock
from machinery.runtime.events import EventRecorder
from machinery.runtime.tasks import Tasks

log = structlog.get_logger(__name__)

MIRROR_CHECK_SECONDS = 30.0
RUNTIME_WAIT_SECONDS = 0.2

T = TypeVar("T")

#: What a colleague beside (the HTTP server) plugs in: it gets the agent and runs until cancelled.
Extension = Callable[["Agent"], Any]


@dataclass(slots=True)
class Agent:
    """What extensions may use."""

    options: Options
    client: Client
    runtime: Runtime
    lookup: PodLookup
    pods: Pods
    reporter: NodeReporter
    serving: ServingCertificate


async def run(
    options: Options, *, stop: asyncio.Event | None = None, extensions: tuple[Extension, ...] = (),
    on_ready: Callable[[Agent], None] = lambda agent: None, clock: Clock = SYSTEM_CLOCK,
) -> None:  # fmt: skip
    """Until ``stop`` is set or a part fails. Pods keep running."""
    stop = stop or asyncio.Event()
    if options.bootstrap_kubeconfig is not None and not options.kubeconfig.exists():
        joining = asyncio.create_task(join(options.bootstrap_kubeconfig, options.kubeconfig, options.node_name))
        await _first(joining, stop)
        if stop.is_set():
            return
    runtime = Runtime(options.runtime_endpoint)
    async with Client.from_kubeconfig(options.kubeconfig, user_agent="kubelet") as client, Tasks("kubelet") as tasks:
        try:
            await _wait_for_runtime(runtime)
            await ensure_pause_image(runtime, options)
            driver = options.cgroup_driver or await detect_driver(runtime)
            assembly = Assembly(options, client, runtime, driver, clock)
            try:
                agent = await _first(asyncio.create_task(assembly.start(tasks, extensions)), stop)
                if agent is not None:
                    on_ready(agent)
                    await _first(asyncio.create_task(tasks.wait()), stop)
            finally:
                await assembly.pods.stop()
        finally:
            await runtime.close()


async def _first(task: asyncio.Task[T], stop: asyncio.Event) -> T | None:
    """The task's result (or its error), or None when ``stop`` was set before it ended."""
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for pending in (task, stopping):
            pending.cancel()
        await asyncio.gather(task, stopping, return_exceptions=True)


class Assembly:
    """Every part of the agent, made and wired; nothing runs before `start`."""

    def __init__(self, options: Options, client: Client, runtime: Runtime, driver: str, clock: Clock) -> None:
        self.options, self.client, self.runtime, self.clock = options, client, runtime, clock
        self.addresses = (options.node_ip,) if options.node_ip else find_addresses(client.config.server)
        self.recorder = EventRecorder(client, "kubelet", host=options.node_name)
        self.view = NodeView()
        if not may_lower_oom_score():
            self.view.oom_floor = own_oom_score()
        self.nodes = Informer(client, "v1", "nodes", field_selector=f"metadata.name={options.node_name}")
        self.bound = Informer(client, "v1", "pods", field_selector=f"spec.nodeName={options.node_name}")
        self.services = Informer(client, "v1", "services", transform=_slim_service)
        self.observer = Observer(runtime, read_termination_message)
        self.reporter = NodeReporter(client, runtime, self._node_settings(), options.root_dir, clock=clock)
        self.pods = Pods(
            self.bound, self.observer, self._node, allowed_sysctls=options.allowed_sysctls, clock=clock
        )
        self.sketch: dict[str, Any] | None = None
        self.reporter.on_node = self._observe_node
        self.cgroups = PodCgroups(prefix=options.cgroup_prefix, driver=driver)
        objects = ObjectReader(client, clock=clock)
        self.volumes = VolumeManager(options.root_dir, objects, TokenSource(client, clock=clock), clock=clock)
        self.writer = StatusWriter(client, self.pods.current)
        self.pods.context = self._worker_context(objects)
        self.serving = ServingCertificate(
            client, options.certificates, options.node_name, options.node_name, self.addresses, clock=clock
        )

    def _node_settings(self) -> NodeSettings:
        options = self.options
        return NodeSettings(
            options.node_name, options.node_name, self.addresses, options.port, options.max_pods, options.node_labels,
            options.register_with_taints, options.provider_id,
        )  # fmt: skip

    def _worker_context(self, objects: ObjectReader) -> WorkerContext:
        options, clock = self.options, self.clock
        puller = ImagePuller(self.runtime, parallel=1 if options.serialize_image_pulls else 5, clock=clock)
        starter = ContainerStarter(
            options, self.runtime, puller, self.volumes, objects, self.services.items, self.view, self.tell
        )
        executor = Executor(
            options, self.runtime, starter, self.cgroups, self.view, self.tell, RuntimeClasses(self.client).handler_of,
            clock=clock,
        )  # fmt: skip
        host_address = self.addresses[0] if self.addresses else ""
        probes = ProbeManager(self.runtime, self._probe_failed, self.pods.wake, host_address=host_address, clock=clock)
        return WorkerContext(
            self.client, self.runtime, self.observer, executor, probes, self.volumes, self.cgroups, self.writer,
            self.view, self.tell, self._node, self.pods.others, self.pods.ended, puller.forget, clock,
        )  # fmt: skip

    # -- what parts say to each other

    def _node(self) -> dict[str, Any] | None:
        return self.reporter.node or self.sketch

    def tell(self, pod: Pod, kind: Literal["Normal", "Warning"], reason: str, message: str, field: str) -> None:
        """An event about a pod; about its mirror when it is a static one."""
        target = self.pods.current(pod) or pod
        self.recorder.event({"apiVersion": "v1", "kind": "Pod", **target}, kind, reason, message, field_path=field)

    def _probe_failed(self, pod: Pod, container: str, kind: str, output: str) -> None:
        message = f"{kind.capitalize()} probe failed: {output}"
        self.tell(pod, "Warning", "Unhealthy", message, field_path(pod, container))

    def _observe_node(self, node: dict[str, Any]) -> None:
        status = node.get("status") or {}
        internal = [a["address"] for a in status.get("addresses") or () if a["type"] == "InternalIP"]
        self.view.host_ips = tuple(internal)
        self.view.allocatable = status.get("allocatable") or {}
        self.view.memory_capacity = max(self.reporter.machine.memory_bytes, 1)
        self.pods.admit_waiting()
        self.pods.on_mirror_change()  # mirrors belong to the node: now there may be one

    async def _reload_client(self) -> None:
        await self.client.reload(load_kubeconfig(self.options.kubeconfig))

    # -- life

    async def start(self, tasks: Tasks, extensions: tuple[Extension, ...]) -> Agent:
        options, reporter = self.options, self.reporter
        for directory in (options.root_dir, options.pod_logs):
            directory.mkdir(parents=True, exist_ok=True)
        tasks.spawn("events", self.recorder.run())
        tasks.spawn("status", self.writer.run())
        tasks.spawn("services", self.services.run())
        tasks.spawn("runtime events", self.pods.follow_runtime())
        if options.manifest_dir is not None:
            # Static pods run without the API: one of them may be the API.
            self.sketch = await reporter.sketch()
            self._observe_node(self.sketch)
            _start_static(options, self.client, self.pods, reporter, tasks, self.clock)
        await reporter.register()
        self.nodes.add_handler(
            on_add=reporter.observe, on_update=lambda old, new: reporter.observe(new),
            on_delete=lambda node: reporter.lose(),
        )  # fmt: skip
        tasks.spawn("node watch", self.nodes.run())
        tasks.spawn("node status", reporter.run_status())
        tasks.spawn("lease", reporter.run_lease())
        # Service variables are part of an environment that cannot be changed later: know the services first.
        await self.services.wait_synced()
        tasks.spawn("pod watch", self.bound.run())
        self._start_upkeep(tasks)
        agent = Agent(
            options, self.client, self.runtime,
            PodLookup(self.pods, self.observer, self.runtime, options.pod_logs), self.pods, reporter, self.serving,
        )  # fmt: skip
        for extension in extensions:
            tasks.spawn(getattr(extension, "__name__", "extension"), extension(agent))
        return agent

    def _start_upkeep(self, tasks: Tasks) -> None:
        """What keeps a node in order over days: logs, images, room, credentials."""
        options, runtime, clock = self.options, self.runtime, self.clock
        rotator = LogRotator(
            runtime, options.pod_logs, max_bytes=options.log_max_bytes, max_files=options.log_max_files, clock=clock
        )
        tasks.spawn("log rotation", rotator.run())
        collector = ImageCollector(runtime, options.root_dir, {options.pause_image}, clock=clock)
        tasks.spawn("image collection", collector.run())
        tasks.spawn("eviction", Evictor(self.pods, self.volumes, runtime, options.root_dir, clock=clock).run())
        tasks.spawn("orphans", _collect_orphans(self.pods, self.bound, self.volumes, self.cgroups), may_end=True)
        tasks.spawn("serving certificate", self.serving.run())
        rotation = Rotation(self.client, options.kubeconfig, options.node_name, self._reload_client, clock)
        tasks.spawn("client certificate", rotation.run())


def _start_static(
    options: Options, client: Client, pods: Pods, reporter: NodeReporter, tasks: Tasks, clock: Clock
) -> None:
    assert options.manifest_dir is not None
    changed = asyncio.Event()

    def on_add(pod: Pod) -> None:
        pods.add(pod)
        changed.set()

    def on_remove(pod: Pod) -> None:
        pods.remove(pod)
        changed.set()

    source = StaticSource(options.manifest_dir, options.node_name, on_add=on_add, on_remove=on_remove, clock=clock)
    mirrors = Mirrors(client, lambda: reporter.node)
    pods.on_mirror_change = changed.set

    async def keep() -> None:
        while True:
            await mirrors.ensure(dict(source.pods), dict(pods.mirrors))
            changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(MIRROR_CHECK_SECONDS):
                    await changed.wait()
            await asyncio.sleep(0.1)

    tasks.spawn("static pods", source.run())
    tasks.spawn("mirror pods", keep())


async def _collect_orphans(pods: Pods, informer: Informer, volumes: VolumeManager, cgroups: PodCgroups) -> None:
    """Once, after everything is known: containers and files of pods that went while no agent ran."""
    await informer.wait_synced()
    pods.admit_waiting()
    await asyncio.sleep(0.5)
    with contextlib.suppress(CriError):
        await pods.relist()
    for uid in volumes.known_uids():
        if pods.by_uid(uid) is None:
            try:
                await asyncio.to_thread(volumes.tear_down, uid)
                cgroups.remove(uid)
            except OSError as error:
                log.warning("files of a pod that is gone stay", uid=uid, error=str(error))


async def _wait_for_runtime(runtime: Runtime) -> None:
    said = False
    while True:
        try:
            version = await runtime.version()
            log.info("container runtime", name=version.runtime_name, version=version.runtime_version)
            return
        except CriError as error:
            if not said:
                log.info("waiting for the container runtime", endpoint=runtime.endpoint, error=str(error))
                said = True
        await asyncio.sleep(RUNTIME_WAIT_SECONDS)


async def ensure_pause_image(runtime: Runtime, options: Options) -> None:
    """The sandbox image from our own bytes. A node with a runtime configured for another one pulls that itself."""
    if options.pause_image != PAUSE_REFERENCE or await runtime.image_status(options.pause_image) is not None:
        return
    try:
        await import_archive(options.runtime_endpoint, pause_image())
    except (ImportFailed, OSError, ValueError) as error:
        log.warning("pause image not imported; sandboxes fail unless the runtime has another", error=str(error))


async def detect_driver(runtime: Runtime) -> str:
    """The runtime's cgroup driver, from its own configuration."""
    try:
        info = json.loads((await runtime.status(verbose=True)).info.get("config") or "{}")
    except (CriError, ValueError):
        return "cgroupfs"
    containerd = info.get("containerd") or {}
    default = (containerd.get("runtimes") or {}).get(containerd.get("defaultRuntimeName") or "runc") or {}
    return "systemd" if (default.get("options") or {}).get("SystemdCgroup") else "cgroupfs"


def _slim_service(service: dict[str, Any]) -> dict[str, Any]:
    """What service variables need, so that ten thousand services cost little."""
    meta, spec = service["metadata"], service.get("spec") or {}
    return {
        "metadata": {key: meta[key] for key in ("name", "namespace", "resourceVersion") if key in meta},
        "spec": {"clusterIP": spec.get("clusterIP"), "ports": spec.get("ports")},
    }

