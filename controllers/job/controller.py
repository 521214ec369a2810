"""The Job controller: runs pods to completion and counts each exactly once (see ``plan``)."""

from __future__ import annotations

from typing import Any

from controllers.context import Context
from controllers.job.counting import Backoff, index_failures, is_tracked
from controllers.job.plan import JobPlan, is_finished, plan_job
from controllers.job.template import TRACKING, make_job_pod
from controllers.pod_owner import BURST, PodOwnerController
from controllers.pods import is_pod_active
from machinery.meta.errors import ApiError, is_not_found
from machinery.meta.objects import controller_of, is_terminating, object_key

Object = dict[str, Any]
BATCH = "batch/v1"
MANAGER = "kubernetes.io/job-controller"
ORPHAN = "orphan:"


class JobController(PodOwnerController):
    name = "job"
    gv, plural, kind = BATCH, "jobs", "Job"
    component = "job-controller"
    tracking_finalizers = (TRACKING,)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._backoffs: dict[str, Backoff] = {}
        self.pods.add_handler(on_add=self._look_for_orphan, on_update=lambda old, new: self._look_for_orphan(new))

    def owner_deleted(self, owner: Object) -> None:
        super().owner_deleted(owner)
        self._backoffs.pop(owner["metadata"]["uid"], None)
        for pod in self.pods.by_index("controller", owner["metadata"]["uid"]):
            self._look_for_orphan(pod)

    def _look_for_orphan(self, pod: Object) -> None:
        """A tracked pod without a living Job would keep its finalizer for ever."""
        if not is_tracked(pod):
            return
        reference = controller_of(pod)
        owner = self.owner_of(pod)
        if reference is None or reference["kind"] != self.kind or owner is None or is_finished(owner):
            self.queue.add(ORPHAN + object_key(pod))

    async def sync(self, key: str) -> str | None:
        if key.startswith(ORPHAN):
            return await self._free_orphan(key.removeprefix(ORPHAN))
        job = self.owners.get(key)
        if job is None:
            self.expectations.forget(key)
            return None
        if (job["spec"].get("managedBy") or MANAGER) != MANAGER or is_finished(job):
            return None
        uid = job["metadata"]["uid"]
        pods = await self.claim(job)
        plan = plan_job(
            job, pods, self._backoffs.get(uid, Backoff()), self.clock.now(),
            may_act=self.expectations.satisfied(key), burst=BURST,
        )  # fmt: skip
        self._backoffs[uid] = plan.backoff
        decided, error = await self._act(job, pods, plan)
        if plan.changed:
            await self.write_status(job, plan.status)
        for event in plan.events:
            self.recorder.event(job, *event)  # type: ignore[arg-type]
        for pod in plan.unfinalize:
            await self._remove_finalizer(pod)
        if error is not None:
            raise error
        if plan.requeue_seconds is not None:
            self.queue.add_after(key, plan.requeue_seconds)
        return decided

    async def _act(self, job: Object, pods: list[Object], plan: JobPlan) -> tuple[str | None, Exception | None]:
        if plan.create:
            limited = job["spec"].get("backoffLimitPerIndex") is not None
            wanted = [
                make_job_pod(job, index, index_failures(pods, index)[0] if limited and index is not None else None)
                for index in plan.create
            ]  # fmt: skip
            done, error = await self.create_pods(job, wanted)
            if done < len(wanted):
                active = plan.status.pop("active", 0) - (len(wanted) - done)
                plan.status |= {"active": active} if active > 0 else {}
                plan.changed = plan.status != job.get("status")
            return f"created {done} of {len(wanted)} pods", error
        if plan.discard:
            for pod in plan.discard:
                await self._remove_finalizer(pod)
            done, error = await self.delete_pods(job, plan.discard)
            return f"discarded {done} pods", error
        if plan.delete:
            done, error = await self.delete_pods(job, plan.delete)
            return f"ended {done} pods", error
        return None, None

    async def _remove_finalizer(self, pod: Object) -> None:
        if not is_tracked(pod):
            return
        patch = {"metadata": {"uid": pod["metadata"]["uid"], "$deleteFromPrimitiveList/finalizers": [TRACKING]}}
        try:
            await self._patch_pod(pod, patch)
        except ApiError as error:
            if not is_not_found(error):
                raise

    async def _free_orphan(self, key: str) -> str | None:
        pod = self.pods.get(key)
        if pod is None or not is_tracked(pod):
            return None
        reference = controller_of(pod)
        owner = self.owner_of(pod)
        if reference is not None and reference["kind"] == self.kind:
            if owner is None:
                if await self._job_lives(pod, reference):
                    return None
            elif not is_finished(owner) or self._is_uncounted(owner, pod):
                return None
        elif reference is not None:
            return None
        elif not is_terminating(pod) and is_pod_active(pod) and self.matching_owners(pod):
            return None  # it will be adopted
        await self._remove_finalizer(pod)
        return "freed the finalizer of a pod without a job"

    def _is_uncounted(self, job: Object, pod: Object) -> bool:
        uncounted = (job.get("status") or {}).get("uncountedTerminatedPods") or {}
        uid = pod["metadata"]["uid"]
        return uid in (uncounted.get("succeeded") or ()) or uid in (uncounted.get("failed") or ())

    async def _job_lives(self, pod: Object, reference: Object) -> bool:
        try:
            job = await self.client.get(BATCH, "jobs", reference["name"], namespace=pod["metadata"]["namespace"])
        except ApiError as error:
            if is_not_found(error):
                return False
            raise
        return bool(job["metadata"]["uid"] == reference["uid"])


def build(context: Context) -> list[PodOwnerController]:
    return [JobController(context)]
