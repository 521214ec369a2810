"""The network side of a node agent, assembled: proxy, DNS, routes, CNI; one set of informers for all."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from machinery.cache import InformerFactory
from machinery.runtime.tasks import Tasks
from network.cni.config import compute_config, write_config
from network.dns.feed import ZoneFeed
from network.dns.server import DnsServer
from network.dns.upstream import Upstream, read_nameservers
from network.dns.zone import Zone
from network.proxy.proxy import ServiceProxy
from network.routes import compute_routes, ensure_local_address, ensure_routes

log = structlog.get_logger(__name__)
Object = dict[str, Any]

SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
}


@dataclass(frozen=True)
class NetworkOptions:
    """``dns_address`` "" serves no DNS; ``cni_conf_dir`` "" leaves CNI to somebody else."""

    node_name: str
    cluster_cidr: str = "10.244.0.0/16"
    dns_address: str = "10.96.0.10"
    cluster_domain: str = "cluster.local"
    cni_conf_dir: str = "/etc/cni/net.d"
    cni_data_dir: str = "/var/lib/cni/networks"
    resolv_conf: str = "/etc/resolv.conf"


class NetworkAgent:
    """Runs on every node, with the node's rights (list and watch Services, EndpointSlices, Nodes, its own pods)."""

    def __init__(self, factory: InformerFactory, options: NetworkOptions) -> None:
        self.options = options
        self._nodes = factory.informer("v1", "nodes")
        self._nodes.add_handler(
            on_add=lambda obj: self._changed.set(), on_update=self._on_node_update,
            on_delete=lambda obj: self._changed.set(),
        )  # fmt: skip
        self._changed = asyncio.Event()
        self.proxy = ServiceProxy(
            factory, options.node_name, cluster_cidr=options.cluster_cidr, skipped_addresses=(options.dns_address,)
        )
        self.zone = Zone(options.cluster_domain)
        self._feed = ZoneFeed(factory, self.zone)
        servers = read_nameservers(options.resolv_conf, ours=options.dns_address)
        self.dns = DnsServer(self.zone, Upstream(servers))

    async def run(self) -> None:
        """Until cancelled. Rules, routes and the CNI file stay, so that a restart interrupts nothing."""
        set_sysctls()
        async with Tasks("network") as tasks:
            tasks.spawn("nodes", self._follow_nodes())
            tasks.spawn("proxy", self.proxy.run())
            if self.options.dns_address:
                tasks.spawn("dns", self._serve_dns())
            await tasks.wait()

    def _on_node_update(self, old: Object, new: Object) -> None:
        if old.get("spec") != new.get("spec") or _addresses(old) != _addresses(new):
            self._changed.set()

    async def _follow_nodes(self) -> None:
        await self._nodes.wait_synced()
        while True:
            self._changed.clear()
            own = self._nodes.get(self.options.node_name)
            cidrs = (own or {}).get("spec", {}).get("podCIDRs") or []
            if cidrs:
                self._use_pod_cidrs(cidrs)
            await ensure_routes(compute_routes(self._nodes.items(), self.options.node_name))
            await self._changed.wait()

    def _use_pod_cidrs(self, cidrs: list[str]) -> None:
        self.proxy.set_pod_cidr(next((cidr for cidr in cidrs if ":" not in cidr), ""))
        if self.options.cni_conf_dir:
            config = compute_config(cidrs, data_dir=self.options.cni_data_dir)
            if write_config(Path(self.options.cni_conf_dir), config):
                log.info("pods of this node get addresses", cidrs=cidrs)

    async def _serve_dns(self) -> None:
        await self._feed.wait_synced()
        await ensure_local_address(self.options.dns_address)
        await self.dns.start(self.options.dns_address)
        try:
            await asyncio.Event().wait()
        finally:
            await self.dns.stop()


def set_sysctls() -> None:
    """What routing pods needs; a sysctl that does not exist here is no loss."""
    for name, value in SYSCTLS.items():
        path = Path("/proc/sys") / name
        if not path.exists():
            continue
        try:
            if path.read_text().strip() != value:
                path.write_text(value)
        except OSError as error:
            log.warning("sysctl not set", name=name.replace("/", "."), value=value, error=str(error))


def _addresses(node: Object) -> Any:
    return (node.get("status") or {}).get("addresses")
