"""`python -m cli.local.gateway KUBECONFIG NETNS`: the supervisor starts it."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import yaml

from cli.local.gateway.ports import RETRY_BIND_SECONDS, PortServer
from cli.local.gateway.routes import apply_routes
from cli.local.gateway.wanted import HostPort, host_ports, node_addresses, pod_routes
from cli.local.gateway.watching import follow
from cli.local.inside import Inside
from cli.local.quicktls import client_tls


class Gateway:
    def __init__(self, netns: str) -> None:
        self.netns = netns
        self.ports: frozenset[HostPort] = frozenset()
        self.addresses: tuple[str, ...] = ()
        self.routes: dict[str, str] = {}
        self.changed = asyncio.Event()
        self.server = PortServer(Inside(netns), lambda: self.addresses)

    def services_changed(self, services: list[dict[str, Any]]) -> None:
        self.ports = host_ports(services)
        self.changed.set()

    def nodes_changed(self, nodes: list[dict[str, Any]]) -> None:
        self.addresses = node_addresses(nodes)
        self.routes = pod_routes(nodes)
        self.changed.set()

    async def run(self) -> None:
        present: dict[str, str] = {}
        complete = True
        while True:
            try:
                await asyncio.wait_for(self.changed.wait(), None if complete else RETRY_BIND_SECONDS)
            except TimeoutError:
                pass
            self.changed.clear()
            complete = await self.server.reconcile(self.ports)
            present = await apply_routes(self.netns, present, self.routes)


async def run(kubeconfig: str, netns: str) -> None:
    config = yaml.load(Path(kubeconfig).read_bytes(), Loader=yaml.CSafeLoader)
    cluster = config["clusters"][0]["cluster"]
    server, tls = cluster["server"], client_tls(cluster, config["users"][0]["user"])
    gateway = Gateway(netns)
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(gateway.run(), name="ports"),
            tasks.create_task(follow(server, tls, "/api/v1/services", gateway.services_changed), name="services"),
            tasks.create_task(follow(server, tls, "/api/v1/nodes", gateway.nodes_changed), name="nodes"),
        ]
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, lambda: [task.cancel() for task in running])


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2]))
