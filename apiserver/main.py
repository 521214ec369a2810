"""The assembled API server: options in, a running server out. ``python -m apiserver`` is a thin shell around it."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import structlog

from apiserver.assembly import Assembly
from apiserver.server.listen import ApiHttpServer, inherited_sockets, listen, open_socket, server_tls

log = structlog.get_logger("apiserver")

SHUTDOWN_SECONDS = 5.0


@dataclass(slots=True)
class Options:
    """What the command line can say."""

    home: Path
    port: int = 6443
    bind: Sequence[str] = ("127.0.0.1",)
    store: str = "sqlite"
    etcd_servers: Sequence[str] = ()
    etcd_ca_file: str = ""
    etcd_cert_file: str = ""
    etcd_key_file: str = ""
    token_auth_file: Path | None = None
    authorization_modes: Sequence[str] = ("Node", "RBAC")
    anonymous: bool = True
    service_cluster_ip_range: str = "10.96.0.0/16"
    service_node_port_range: str = "30000-32767"
    #: Address of the kubernetes Service's endpoint; "" = the first bound address that is not loopback, else none.
    advertise_address: str = ""
    endpoint_reconciler_type: str = "lease"
    kubelet_preferred_address_types: Sequence[str] = ("InternalIP", "Hostname", "ExternalIP")
    kubelet_certificate_authority: Path | None = None
    extra_sans: Sequence[str] = ()
    enable_admission_plugins: Sequence[str] = ()
    disable_admission_plugins: Sequence[str] = ()
    #: Address in the kubeconfigs that are written; "" = the first bound address.
    server: str = ""
    component_server: str = ""
    announce: bool = True
    #: Serve metrics.k8s.io by asking the node agents.
    metrics_api: bool = False
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        address = self.bind[0] if self.bind else "127.0.0.1"
        address = "127.0.0.1" if address in ("0.0.0.0", "::") else address
        return f"https://[{address}]:{self.port}" if ":" in address else f"https://{address}:{self.port}"


async def run(options: Options, *, stop: asyncio.Event | None = None, ready: asyncio.Event | None = None) -> None:
    """Until SIGTERM, SIGINT or ``stop``. ``ready`` is set when requests are answered."""
    stopping = stop or asyncio.Event()
    sockets = [*inherited_sockets(), *(open_socket(address, options.port) for address in options.bind)]
    options.port = options.port or _port_of(sockets)
    _prepare_home(options)
    assembly = Assembly(options)
    await assembly.start()
    http = ApiHttpServer(assembly.edge.handle)
    pki = options.home / "pki"
    authorities = [pki / "ca.crt", pki / "front-proxy-ca.crt"]
    tls = server_tls(pki / "apiserver.crt", pki / "apiserver.key", authorities)
    servers = await listen(http, sockets, tls)
    loop = asyncio.get_running_loop()
    if stop is None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
    try:
        await assembly.bootstrap()
        _settle_memory()
        if ready is not None:
            ready.set()
        if options.announce:
            print(f"navarch apiserver ready at {options.url} ({options.store})", flush=True)
        await stopping.wait()
    finally:
        assembly.health.shutting_down = True
        for server in servers:
            server.close()
        http.pre_shutdown()
        await assembly.close()
        await http.shutdown(SHUTDOWN_SECONDS)
    log.info("stopped")


def _settle_memory() -> None:
    """What is there after the start stays; and requests make much short-lived garbage without cycles, so the cycle
    collector need not look at every few hundred allocations."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _port_of(sockets: Sequence[socket.socket]) -> int:
    return int(sockets[0].getsockname()[1])


def _prepare_home(options: Options) -> None:
    from machinery.pki import ensure_cluster_pki

    addresses = [address for address in options.bind if address not in ("0.0.0.0", "::")]
    if options.advertise_address:
        addresses.append(options.advertise_address)
    names = [name for name in options.extra_sans if not _is_address(name)]
    addresses += [name for name in options.extra_sans if _is_address(name)]
    ensure_cluster_pki(
        options.home, datetime.now(UTC), advertise_addresses=dict.fromkeys(addresses), extra_names=names,
        server=options.server or options.url, component_server=options.component_server or None,
    )  # fmt: skip
    os.makedirs(options.home / "db", exist_ok=True)


def _is_address(text: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
