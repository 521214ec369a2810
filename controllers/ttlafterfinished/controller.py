"""Deletes finished Jobs when their ``ttlSecondsAfterFinished`` has passed."""

from __future__ import annotations

from typing import Any

from controllers.context import Context
from controllers.ttlafterfinished.plan import remaining_seconds
from machinery.meta.errors import ApiError, is_not_found
from machinery.meta.objects import split_key
from machinery.runtime.controller import Controller

Object = dict[str, Any]


class TtlAfterFinished(Controller):
    name = "ttl-after-finished"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.client, self.clock = context.client_for("ttl-after-finished-controller"), context.clock
        self.jobs = context.owned("batch/v1", "jobs")
        self.jobs.add_handler(on_add=self.enqueue, on_update=self.enqueue_update)

    async def wait_synced(self) -> None:
        await self.jobs.wait_synced()

    async def sync(self, key: str) -> str | None:
        job = self.jobs.get(key)
        wait = remaining_seconds(job, self.clock.now()) if job is not None else None
        if wait is None:
            return None
        if wait > 0:
            self.queue.add_after(key, wait + 0.01)
            return None
        namespace, name = split_key(key)
        try:
            # The cache may be old: somebody may have prolonged its life just now.
            fresh = await self.client.get("batch/v1", "jobs", name, namespace=namespace)
            left = remaining_seconds(fresh, self.clock.now())
            if left is None or left > 0:
                return None
            await self.client.delete(
                "batch/v1", "jobs", name, namespace=namespace, propagation_policy="Foreground",
                uid=fresh["metadata"]["uid"], resource_version=fresh["metadata"]["resourceVersion"],
            )  # fmt: skip
        except ApiError as error:
            if is_not_found(error):
                return None
            raise
        return "deleted a finished job after its time"


def build(context: Context) -> list[Controller]:
    return [TtlAfterFinished(context)]
