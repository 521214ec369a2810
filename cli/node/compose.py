"""Put the parts of a node into one process. The packages do not know each other; only here do they meet."""

from __future__ import annotations

import asyncio

import structlog

from kubelet.agent import Agent, Extension, run
from kubelet.server.extension import serve
from kubelet.settings import Options
from machinery.cache import InformerFactory
from machinery.client import Client, ConnectError
from machinery.meta.errors import ApiError
from machinery.runtime.tasks import Tasks
from network.agent import NetworkAgent, NetworkOptions

log = structlog.get_logger(__name__)

PERMISSION_SECONDS = 0.1


def network_extension(options: NetworkOptions) -> Extension:
    async def network(agent: Agent) -> None:
        await wait_for_permission(agent.client)
        factory = InformerFactory(agent.client)
        network_agent = NetworkAgent(factory, options)  # asks the factory for what it follows
        async with Tasks("network") as tasks:
            factory.start(tasks)
            tasks.spawn("agent", network_agent.run())
            await tasks.wait()

    return network


async def wait_for_permission(client: Client) -> None:
    """A new cluster grants its nodes these rights a moment after its API answers. Asking until then is quicker than
    to be refused once and to wait out an informer's back-off."""
    said = False
    while True:
        try:
            await client.request("GET", "/apis/discovery.k8s.io/v1/endpointslices", params={"limit": "1"})
            return
        except (ApiError, ConnectError) as error:
            if not said:
                log.info("waiting for the rights of a node", error=str(error))
                said = True
        await asyncio.sleep(PERMISSION_SECONDS)


async def run_node(options: Options, network: NetworkOptions, stop: asyncio.Event) -> None:
    await run(options, stop=stop, extensions=(serve, network_extension(network)))
