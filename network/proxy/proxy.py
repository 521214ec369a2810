"""The proxy's edge: informers in, transactions out; one rule set at a time, changes gathered for a few milliseconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import structlog
from prometheus_client import Counter, Gauge, Histogram

from machinery.cache import InformerFactory
from machinery.meta.objects import object_key
from network.proxy.model import SERVICE_NAME_LABEL, ServicePort, host_ports, service_ports
from network.proxy.nft import NftError, apply_transaction, forget_udp_flows
from network.proxy.ruleset import RuleSet, compute_ruleset
from network.proxy.transaction import delete_table, full_transaction, plan_transaction

log = structlog.get_logger(__name__)
Object = dict[str, Any]

#: Changes that come within this time go into one transaction.
GATHER_SECONDS = 0.01
RETRY_SECONDS = 2.0

SYNCS = Counter("kubeproxy_sync_proxy_rules_total", "Transactions, by the result.", ["result"])
DURATION = Histogram("kubeproxy_sync_proxy_rules_duration_seconds", "Time to compute and apply a transaction.")
PORTS = Gauge("navarch_proxy_service_ports", "Service ports that are proxied.")


class ServiceProxy:
    """Keeps this node's table equal to what the cluster's Services ask for."""

    def __init__(
        self, factory: InformerFactory, node_name: str, *, cluster_cidr: str, skipped_addresses: Iterable[str] = (),
        apply: Callable[[str], Any] = apply_transaction,
    ) -> None:
        self.node_name = node_name
        self._cluster_cidr = cluster_cidr
        self._skipped = frozenset(skipped_addresses)
        self._apply = apply
        self._changed = asyncio.Event()
        self._stale: set[str] = set()
        self._unproven: set[str] = set()  # Services whose rules nft has not taken yet
        self._ports: dict[str, list[ServicePort]] = {}
        self._current: RuleSet | None = None
        self.pod_cidr = ""
        self.synced = False
        self._services = factory.informer("v1", "services")
        self._slices = factory.informer(
            "discovery.k8s.io/v1", "endpointslices", indexers={"service": lambda obj: [_service_of(obj)]}
        )
        self._pods = factory.informer("v1", "pods", field_selector=f"spec.nodeName={node_name}")
        self._services.add_handler(
            on_add=self._on_service, on_update=lambda old, new: self._on_service(new), on_delete=self._on_service
        )
        self._slices.add_handler(
            on_add=self._on_slice, on_update=lambda old, new: self._on_slice(new), on_delete=self._on_slice
        )
        self._pods.add_handler(on_add=self._on_pod, on_update=self._on_pod_update, on_delete=self._on_pod)

    def set_pod_cidr(self, pod_cidr: str) -> None:
        if pod_cidr != self.pod_cidr:
            self.pod_cidr = pod_cidr
            self._changed.set()

    async def run(self) -> None:
        """Follow until cancelled; the table stays, so that traffic flows while the agent restarts."""
        for informer in (self._services, self._slices, self._pods):
            await informer.wait_synced()
        self._stale.update(self._services.keys())
        while True:
            self._changed.clear()
            try:
                await self._sync()
            except NftError as error:
                SYNCS.labels("error").inc()
                log.error("rules not applied, will replace the table", error=str(error))
                self._current = None
                try:
                    await self._replace()
                except NftError as again:
                    log.error("the table cannot be replaced", error=str(again))
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
            await self._changed.wait()
            await asyncio.sleep(GATHER_SECONDS)

    async def remove(self) -> None:
        """Take everything away (the node leaves)."""
        await self._apply(delete_table())
        self._current = None

    # --- what changed -------------------------------------------------------------------------------------------

    def _on_service(self, service: Object) -> None:
        self._stale.add(object_key(service))
        self._changed.set()

    def _on_slice(self, obj: Object) -> None:
        self._stale.add(_service_of(obj))
        self._changed.set()

    def _on_pod(self, pod: Object) -> None:
        if any(port.get("hostPort") for c in pod["spec"].get("containers") or () for port in c.get("ports") or ()):
            self._changed.set()

    def _on_pod_update(self, old: Object, new: Object) -> None:
        before, after = old.get("status") or {}, new.get("status") or {}
        if before.get("podIP") != after.get("podIP") or before.get("phase") != after.get("phase"):
            self._on_pod(new)

    # --- making it so -------------------------------------------------------------------------------------------

    async def _sync(self) -> None:
        with DURATION.time():
            stale, self._stale = self._stale, set()
            self._unproven |= stale
            gone: list[tuple[str, int, str]] = []
            for key in stale:
                before = self._ports.get(key, [])
                after = self._of(key)
                gone += _lost_udp_flows(before, after)
                if after:
                    self._ports[key] = after
                else:
                    self._ports.pop(key, None)
            await self._apply_ports()
            self._unproven.clear()
            if gone:
                await forget_udp_flows(gone)

    async def _apply_ports(self) -> None:
        published = host_ports(self._pods.items())
        everything = [port for key in sorted(self._ports) for port in self._ports[key]]
        wanted = compute_ruleset(everything, published, cluster_cidr=self._cluster_cidr, pod_cidr=self.pod_cidr)
        text = full_transaction(wanted) if self._current is None else plan_transaction(self._current, wanted)
        if text:
            await self._apply(text)
            SYNCS.labels("applied").inc()
            log.debug("rules applied", lines=text.count("\n"))
        self._current = wanted
        self.synced = True
        PORTS.set(len(everything))

    async def _replace(self) -> None:
        """Make the table anew. When that is refused too, one Service among those that nft has not taken yet must be
        the reason: the table is made without them and they are added one by one, so that only the bad one is missing.
        """
        try:
            await self._apply_ports()
        except NftError:
            suspects = {key: ports for key in sorted(self._unproven) if (ports := self._ports.pop(key, None))}
            await self._apply_ports()
            for key, ports in suspects.items():
                self._ports[key] = ports
                try:
                    await self._apply_ports()
                except NftError as error:
                    del self._ports[key]
                    log.error("a service is left out: its rules are refused", service=key, error=str(error))
        self._unproven.clear()

    def _of(self, key: str) -> list[ServicePort]:
        service = self._services.get(key)
        if service is None or service["spec"].get("clusterIP") in self._skipped:
            return []
        return service_ports(service, self._slices.by_index("service", key), self.node_name)


def _service_of(obj: Object) -> str:
    meta = obj["metadata"]
    return f"{meta['namespace']}/{(meta.get('labels') or {}).get(SERVICE_NAME_LABEL, '')}"


def _lost_udp_flows(before: list[ServicePort], after: list[ServicePort]) -> list[tuple[str, int, str]]:
    """Flows ``(address, port, endpoint)`` of UDP ports whose endpoint was there and is not any more."""
    left = {(port.port, each.address) for port in after if port.protocol == "udp" for each in port.cluster}
    return [
        (address, port.port, each.address)
        for port in before
        if port.protocol == "udp"
        for each in port.cluster
        if (port.port, each.address) not in left
        for address in (*port.cluster_ips, *port.external_ips)
    ]
