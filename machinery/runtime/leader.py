"""Leader election by a Lease: of several equal processes one works.

The Lease's ``resourceVersion`` makes acquiring a compare-and-swap. A holder renews every ``retry_period``; who does not
manage to renew within ``renew_deadline`` stops by itself BEFORE others may take over after ``lease_duration``
(renew_deadline < lease_duration). Observed time, not the holder's clock, decides about expiry, so that machines with
wrong clocks do not steal leases (client-go's ``leaderelection`` has the same rules and defaults).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from machinery.client import Client, ConnectError
from machinery.meta.errors import ApiError, is_not_found
from machinery.meta.objects import format_micro_time
from machinery.runtime.clock import SYSTEM_CLOCK, Clock

log = structlog.get_logger(__name__)


class LeaderLost(Exception):
    """The lease could not be renewed in time; the process must stop acting."""


class LeaderElector:
    """One candidate for one Lease."""

    def __init__(
        self, client: Client, name: str, identity: str, *, namespace: str = "kube-system",
        lease_duration_seconds: float = 15, renew_deadline_seconds: float = 10, retry_period_seconds: float = 2,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.name, self.identity, self.namespace = name, identity, namespace
        self._client, self._clock = client, clock
        self._duration, self._deadline, self._retry = (
            lease_duration_seconds, renew_deadline_seconds, retry_period_seconds,
        )  # fmt: skip
        self._seen_version = ""
        self._seen_at = 0.0
        self.is_leader = False

    async def run(self, lead: Callable[[], Awaitable[Any]]) -> None:
        """Wait for the lease, run ``lead`` while it is held, give the lease back on a clean end.

        Raises LeaderLost when the lease slipped away (after cancelling ``lead``).
        """
        while not await self._try():
            await self._clock.sleep(self._retry)
        self.is_leader = True
        log.info("became leader", lease=self.name, identity=self.identity)
        work = asyncio.ensure_future(lead())
        renewing = asyncio.ensure_future(self._renew())
        try:
            await asyncio.wait({work, renewing}, return_when=asyncio.FIRST_COMPLETED)
            if renewing.done():
                renewing.result()
            if work.done():
                work.result()
        finally:
            self.is_leader = False
            for task in (work, renewing):
                task.cancel()
            await asyncio.gather(work, renewing, return_exceptions=True)
            with contextlib.suppress(ApiError, ConnectError):
                await self._release()

    async def _renew(self) -> None:
        good_at = self._clock.monotonic()
        while True:
            await self._clock.sleep(self._retry)
            if await self._try():
                good_at = self._clock.monotonic()
            elif self._clock.monotonic() - good_at > self._deadline:
                raise LeaderLost(f"lease {self.name} was not renewed for {self._deadline:.0f} s")

    async def _try(self) -> bool:
        """Acquire or renew once; False when another holds it or the server is away."""
        try:
            return await asyncio.wait_for(self._acquire(), self._deadline)
        except (ApiError, ConnectError, TimeoutError) as error:
            log.debug("lease not taken", lease=self.name, error=str(error))
            return False

    async def _acquire(self) -> bool:
        now = format_micro_time(self._clock.now())
        try:
            lease = await self._client.get("coordination.k8s.io/v1", "leases", self.name, namespace=self.namespace)
        except ApiError as error:
            if not is_not_found(error):
                raise
            lease = {
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": self.name, "namespace": self.namespace},
                "spec": {
                    "holderIdentity": self.identity, "leaseDurationSeconds": int(self._duration),
                    "acquireTime": now, "renewTime": now, "leaseTransitions": 0,
                },
            }  # fmt: skip
            await self._client.create("coordination.k8s.io/v1", "leases", lease)
            return True
        version = lease["metadata"]["resourceVersion"]
        if version != self._seen_version:
            self._seen_version, self._seen_at = version, self._clock.monotonic()
        spec = dict(lease.get("spec") or {})
        holder = spec.get("holderIdentity")
        if holder and holder != self.identity:
            duration = float(spec.get("leaseDurationSeconds") or self._duration)
            if self._clock.monotonic() - self._seen_at < duration:
                return False
        if holder != self.identity:
            spec |= {"acquireTime": now, "leaseTransitions": int(spec.get("leaseTransitions") or 0) + 1}
        spec |= {"holderIdentity": self.identity, "renewTime": now, "leaseDurationSeconds": int(self._duration)}
        await self._client.update("coordination.k8s.io/v1", "leases", {**lease, "spec": spec})
        return True

    async def _release(self) -> None:
        lease = await self._client.get("coordination.k8s.io/v1", "leases", self.name, namespace=self.namespace)
        spec = dict(lease.get("spec") or {})
        if spec.get("holderIdentity") != self.identity:
            return
        spec |= {"holderIdentity": "", "leaseDurationSeconds": 1}
        await self._client.update("coordination.k8s.io/v1", "leases", {**lease, "spec": spec})
