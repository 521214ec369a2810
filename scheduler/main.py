"""The scheduler process: leader election around the scheduler, health and metrics beside it."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass

from machinery.client import Client
from machinery.runtime.leader import LeaderElector
from machinery.runtime.serve import HealthServer
from scheduler.scheduler import Scheduler


@dataclass(frozen=True)
class SchedulerOptions:
    """``health_port`` 0 serves no health endpoint."""

    kubeconfig: str
    scheduler_name: str = "default-scheduler"
    leader_elect: bool = True
    lease_name: str = "kube-scheduler"
    health_port: int = 0


async def run(options: SchedulerOptions, stop: asyncio.Event) -> None:
    """Run until ``stop`` is set; raises when the work failed."""
    async with Client.from_kubeconfig(options.kubeconfig, user_agent="kube-scheduler") as client:
        scheduler = Scheduler(client, name=options.scheduler_name)
        health = HealthServer({"informers": lambda: None if scheduler.synced else "not synced"})
        if options.health_port:
            await health.start(options.health_port)
        if options.leader_elect:
            identity = f"{socket.gethostname()}_{os.getpid()}"
            elector = LeaderElector(client, options.lease_name, identity)
            work = asyncio.ensure_future(elector.run(scheduler.run))
        else:
            work = asyncio.ensure_future(scheduler.run())
        stopped = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            for task in (work, stopped):
                task.cancel()
            await asyncio.gather(work, stopped, return_exceptions=True)
            await health.stop()
