"""The CronJob controller: one timer a CronJob, set to its next time; nothing is polled."""

from __future__ import annotations

from typing import Any

from controllers.context import Context
from controllers.cronjob.plan import CronPlan, plan_cron_job, reference_to
from machinery.meta.errors import ApiError, has_cause, is_already_exists, is_not_found
from machinery.meta.objects import controller_of, format_time, is_controlled_by
from machinery.runtime.controller import Controller

Object = dict[str, Any]
BATCH = "batch/v1"


class CronJobController(Controller):
    name = "cronjob"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.client, self.clock = context.client_for("cronjob-controller"), context.clock
        self.recorder = context.recorder("cronjob-controller")
        self.cron_jobs = context.owned(BATCH, "cronjobs")
        self.jobs = context.owned(BATCH, "jobs")
        self.cron_jobs.add_handler(on_add=self.enqueue, on_update=self.enqueue_update)
        self.jobs.add_handler(on_add=self._job_changed, on_update=lambda old, new: self._job_changed(new),
                              on_delete=self._job_changed)  # fmt: skip

    async def wait_synced(self) -> None:
        await self.cron_jobs.wait_synced()
        await self.jobs.wait_synced()

    def _job_changed(self, job: Object) -> None:
        reference = controller_of(job)
        if reference is not None and reference["kind"] == "CronJob":
            self.queue.add(f"{job['metadata']['namespace']}/{reference['name']}")

    async def sync(self, key: str) -> str | None:
        cron_job = self.cron_jobs.get(key)
        if cron_job is None:
            return None
        plan = plan_cron_job(cron_job, self.jobs.by_index("controller", cron_job["metadata"]["uid"]), self.clock.now())
        for event in plan.events:
            self.recorder.event(cron_job, *event)  # type: ignore[arg-type]
        for job in plan.discard:
            await self._delete(cron_job, job)
        for job in plan.replace:
            await self._delete(cron_job, job)
        started = await self._start(cron_job, plan) if plan.start is not None else None
        if plan.status != (cron_job.get("status") or {}):
            await self.client.update(BATCH, "cronjobs", {**cron_job, "status": plan.status}, subresource="status")
        if plan.requeue_seconds is not None:
            self.queue.add_after(key, plan.requeue_seconds)
        return started

    async def _start(self, cron_job: Object, plan: CronPlan) -> str | None:
        assert plan.start is not None
        assert plan.scheduled_at is not None
        meta = plan.start["metadata"]
        try:
            job = await self.client.create(BATCH, "jobs", plan.start)
        except ApiError as error:
            if has_cause(error, "NamespaceTerminating"):
                return None
            if not is_already_exists(error):
                self.recorder.event(cron_job, "Warning", "FailedCreate", f"Error creating job: {error}")
                raise
            job = await self.client.get(BATCH, "jobs", meta["name"], namespace=meta["namespace"])
            if not is_controlled_by(job, cron_job):
                raise
        else:
            self.recorder.event(cron_job, "Normal", "SuccessfulCreate", f"Created job {meta['name']}")
        gone = {item["metadata"]["uid"] for item in plan.replace}
        active = [item for item in plan.status.get("active") or () if item.get("uid") not in gone]
        plan.status["active"] = [*active, reference_to(job)]
        plan.status["lastScheduleTime"] = format_time(plan.scheduled_at)
        return f"started job {meta['name']}"

    async def _delete(self, cron_job: Object, job: Object) -> None:
        meta = job["metadata"]
        try:
            await self.client.delete(
                BATCH, "jobs", meta["name"], namespace=meta["namespace"], propagation_policy="Background"
            )
        except ApiError as error:
            if is_not_found(error):
                return
            self.recorder.event(cron_job, "Warning", "FailedDelete", f"Deleted job: {error}")
            raise
        self.recorder.event(cron_job, "Normal", "SuccessfulDelete", f"Deleted job {meta['name']}")


def build(context: Context) -> list[Controller]:
    return [CronJobController(context)]
