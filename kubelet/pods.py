"""All pods of the node: which there are, who works on each, and what the colleagues beside may ask.

The pods come from the API (a watch on this node's name) and from manifests. Each gets a worker when it is admitted or
refused; pods that the runtime still has and nobody wants any more get one too, which ends them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import structlog

from kubelet.admission import Refusal, admit, is_active
from kubelet.cri import CriError, names
from kubelet.cri.events import RESYNC, TaskEvent, subscribe
from kubelet.observed import PodRuntime
from kubelet.observer import Observer
from kubelet.podspec import (
    CONFIG_HASH,
    CONFIG_MIRROR,
    CONFIG_SEEN,
    CONFIG_SOURCE,
    Pod,
    is_mirror,
    is_static,
    pod_key,
    pod_uid,
)
from kubelet.worker import PodWorker, WorkerContext
from machinery.cache import Informer
from machinery.meta.objects import format_micro_time
from machinery.runtime.clock import SYSTEM_CLOCK, Clock

log = structlog.get_logger(__name__)

RELIST_SECONDS = 15.0


class Pods:
    def __init__(
        self, informer: Informer, observer: Observer, node: Callable[[], dict[str, Any] | None], *,
        allowed_sysctls: Iterable[str] = (), clock: Clock = SYSTEM_CLOCK,
    ) -> None:  # fmt: skip
        self._informer, self._observer, self._node, self._clock = informer, observer, node, clock
        self._allowed_sysctls = tuple(allowed_sysctls)
        self.context: WorkerContext | None = None
        self._workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._waiting: dict[str, Pod] = {}
        self._seen: dict[str, tuple[str, ...]] = {}
        self.mirrors: dict[str, Pod] = {}
        self.on_mirror_change: Callable[[], None] = lambda: None
        informer.add_handler(on_add=self._api_add, on_update=self._api_update, on_delete=self._api_delete)

    # -- what others may ask (the kubelet's server, statistics, the network)

    def get(self, namespace: str, name: str) -> Pod | None:
        """By the name that clients use; a static pod answers to its mirror's."""
        return next((w.pod for w in self._workers.values() if pod_key(w.pod) == f"{namespace}/{name}"), None)

    def by_uid(self, uid: str) -> Pod | None:
        worker = self._workers.get(uid)
        return None if worker is None else worker.pod

    def all(self) -> list[Pod]:
        return [worker.pod for worker in self._workers.values()]

    def runtime_of(self, uid: str) -> PodRuntime | None:
        """What the runtime had of a pod at the last look."""
        worker = self._workers.get(uid)
        return None if worker is None else worker.runtime

    def current(self, pod: Pod) -> Pod | None:
        """The API's copy: of a static pod its mirror."""
        uid = pod_uid(pod)
        if uid in self.mirrors:
            return self.mirrors[uid]
        return None if is_static(pod) else self._informer.get(pod_key(pod))

    def wake(self, uid: str) -> None:
        worker = self._workers.get(uid)
        if worker is not None:
            worker.wake()

    def evict(self, uid: str, reason: str, message: str, grace_seconds: int, *, disruption: bool = False) -> None:
        worker = self._workers.get(uid)
        if worker is not None:
            worker.evict(reason, message, grace_seconds, disruption=disruption)

    # -- the API

    def _api_add(self, pod: Pod) -> None:
        if is_mirror(pod):
            uid = pod["metadata"]["annotations"][CONFIG_MIRROR]
            if uid not in self.mirrors or pod_uid(self.mirrors[uid]) != pod_uid(pod):
                self.wake(uid)  # its status has somewhere to go now
            self.mirrors[uid] = pod
            self.on_mirror_change()
            return
        self.add(self._annotated(pod))

    def _api_update(self, old: Pod, new: Pod) -> None:
        if is_mirror(new):
            self._api_add(new)
            return
        if pod_uid(old) != pod_uid(new):  # deleted and made again while the watch was away
            self._api_delete(old)
            self._api_add(new)
            return
        worker = self._workers.get(pod_uid(new))
        if worker is None:
            self.add(self._annotated(new))
        else:
            worker.update(self._annotated(new, worker.pod))

    def _api_delete(self, pod: Pod) -> None:
        if is_mirror(pod):
            self.mirrors.pop(pod["metadata"]["annotations"][CONFIG_MIRROR], None)
            self.on_mirror_change()
            return
        self.remove(pod)

    def _annotated(self, pod: Pod, before: Pod | None = None) -> Pod:
        """With the annotations that containers see: where the pod came from and when."""
        annotations = dict(pod["metadata"].get("annotations") or {})
        known = (before or {}).get("metadata", {}).get("annotations") or {}
        annotations[CONFIG_SEEN] = known.get(CONFIG_SEEN) or format_micro_time(self._clock.now())
        annotations[CONFIG_SOURCE] = "api"
        return {**pod, "metadata": {**pod["metadata"], "annotations": annotations}}

    # -- workers

    def add(self, pod: Pod) -> None:
        """From whatever source. Before the node is known there is nothing to admit against: the pod waits."""
        uid = pod_uid(pod)
        if uid in self._workers:
            self._workers[uid].update(pod)
            return
        # The first pods come all at once and in no order: admitted together they would take each other's room.
        listed = self._informer.synced or is_static(pod)
        if self.context is None or self._node() is None or not listed:
            self._waiting[uid] = pod
            return
        refusal = self._admit(pod)
        self._start(pod, refusal)

    def _admit(self, pod: Pod) -> Refusal | None:
        """A pod that was admitted before (it has a start time) stays, whatever changed since."""
        status = pod.get("status") or {}
        if status.get("startTime") or pod["metadata"].get("deletionTimestamp") or not is_active(pod):
            return None
        node = self._node()
        assert node is not None
        return admit(pod, self.others(pod_uid(pod)), node, allowed_sysctls=self._allowed_sysctls)

    def others(self, uid: str) -> list[Pod]:
        """The pods that hold resources of the node beside this one."""
        return [worker.pod for key, worker in self._workers.items() if key != uid and worker.holds_resources]

    def _start(self, pod: Pod, refusal: Refusal | None) -> PodWorker:
        assert self.context is not None
        uid = pod_uid(pod)
        refused = None if refusal is None else (refusal.reason, refusal.message)
        worker = PodWorker(self.context, pod, refused=refused)
        self._workers[uid] = worker
        if refusal is not None:
            log.info("pod refused", pod=pod_key(pod), reason=refusal.reason, message=refusal.message)
            self.context.tell(pod, "Warning", refusal.reason, refusal.message, "")
        self._tasks[uid] = asyncio.create_task(worker.run(), name=f"pod/{pod_key(pod)}")
        return worker

    def remove(self, pod: Pod) -> None:
        self._waiting.pop(pod_uid(pod), None)
        worker = self._workers.get(pod_uid(pod))
        if worker is not None:
            if pod["metadata"].get("deletionTimestamp"):
                worker.pod = self._annotated(pod, worker.pod)
            worker.remove()

    def ended(self, uid: str) -> None:
        """A worker has nothing left to do, ever."""
        self._workers.pop(uid, None)
        self._tasks.pop(uid, None)
        self._seen.pop(uid, None)
        if self.context is not None:
            self.context.writer.forget(uid)

    def admit_waiting(self) -> None:
        """Once the node and all its pods are known. The oldest first, as they would have come."""
        waiting = sorted(self._waiting.values(), key=_seniority)
        self._waiting.clear()
        for pod in waiting:
            self.add(pod)

    # -- the runtime

    async def follow_runtime(self) -> None:
        """Events wake workers at once; a look at everything, now and then, finds what events missed."""
        assert self.context is not None
        relist = asyncio.create_task(self._relist_forever(), name="relist")
        try:
            async for event in subscribe(self.context.runtime.channel):
                await self._on_event(event)
        finally:
            relist.cancel()

    async def _on_event(self, event: TaskEvent) -> None:
        if event.topic == RESYNC:
            await self._try_relist()
            return
        if event.topic not in ("exit", "oom"):
            return
        if self._observer.owner_of(event.container_id) is None:
            await self._try_relist()  # a container that ended before anyone looked at it
        worker = self._workers.get(self._observer.owner_of(event.container_id) or "")
        if worker is not None:
            worker.exited(event.container_id)

    async def _relist_forever(self) -> None:
        while True:
            await self._clock.sleep(RELIST_SECONDS)
            await self._try_relist()

    async def _try_relist(self) -> None:
        try:
            await self.relist()
        except CriError as error:
            log.warning("runtime does not answer", error=str(error))

    async def relist(self) -> None:
        """Wakes the workers of pods whose containers changed; ends pods that nobody wants."""
        found = await self._observer.fetch_uids()
        for uid, states in found.items():
            worker = self._workers.get(uid)
            if worker is None:
                await self._adopt_orphan(uid)
            elif self._seen.get(uid) != states:
                worker.wake()
        for uid in self._seen:
            if uid not in found and uid in self._workers:
                self._workers[uid].wake()
        self._seen = found

    async def _adopt_orphan(self, uid: str) -> None:
        if not self._informer.synced or uid in self._waiting or self._node() is None:
            return
        runtime = await self._observer.fetch(uid)
        if not runtime.sandboxes and not runtime.containers:
            return
        log.info("ending a pod that is not wanted any more", uid=uid, pod=f"{runtime.namespace}/{runtime.name}")
        self._start(orphan(runtime), None).remove()

    async def stop(self) -> None:
        """Ends the workers and their probes, not the pods."""
        if self.context is not None:
            self.context.probes.stop()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _seniority(pod: Pod) -> tuple[bool, str]:
    """Pods that were admitted before, then the oldest."""
    started = (pod.get("status") or {}).get("startTime")
    return not started, pod["metadata"].get("creationTimestamp") or ""


def orphan(runtime: PodRuntime) -> Pod:
    """Enough of a pod to end it: the grace period travels with its containers."""
    grace = max((container.grace_seconds for container in runtime.containers), default=1)
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"uid": runtime.uid, "name": runtime.name or "orphan", "namespace": runtime.namespace or "default",
                     "annotations": {CONFIG_HASH: runtime.uid}, "labels": {names.POD_UID: runtime.uid}},
        "spec": {"containers": [], "restartPolicy": "Never", "terminationGracePeriodSeconds": grace},
        "status": {},
    }  # fmt: skip
