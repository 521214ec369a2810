"""The server as a part of the agent: built when the agent is, with certificates that rotate under it."""

from __future__ import annotations

import ssl
import tempfile
from datetime import timedelta
from pathlib import Path

import structlog

from kubelet.agent import Agent
from kubelet.server.app import KubeletServer
from kubelet.server.auth import Gate
from kubelet.server.stats import Statistics
from machinery.client import ClientConfig
from machinery.meta.objects import format_time
from machinery.pki.certificates import SERVER_AUTH, create_authority, issue
from machinery.runtime.clock import SYSTEM_CLOCK, Clock

log = structlog.get_logger(__name__)

CERTIFICATE_CHECK_SECONDS = 5.0


async def serve(agent: Agent, *, clock: Clock = SYSTEM_CLOCK) -> None:
    """Serve until cancelled (an extension of :func:`kubelet.agent.run`)."""
    context = _context(agent.client.config)
    _use_self_signed(context, agent.options.node_name, clock)
    seen = _use_signed(context, agent, 0.0)
    gate = Gate(agent.client, agent.options.node_name)
    statistics = Statistics(agent.runtime, agent.options.node_name, format_time(clock.now()))
    server = KubeletServer(agent.lookup, gate, statistics, config=lambda: _configuration(agent), clock=clock)
    port = await server.start(agent.options.address, agent.options.port, context)
    log.info("serving", port=port)
    try:
        while True:
            # New connections show what is loaded last; those that are open keep what they were made with.
            await clock.sleep(CERTIFICATE_CHECK_SECONDS if seen else 0.2)
            seen = _use_signed(context, agent, seen)
    finally:
        await server.stop()


def _context(config: ClientConfig) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL
    if config.ca_data:
        context.load_verify_locations(cadata=config.ca_data.decode())
    elif config.ca_file:
        context.load_verify_locations(cafile=config.ca_file)
    return context


def _use_self_signed(context: ssl.SSLContext, name: str, clock: Clock) -> None:
    """Something to show until the cluster has signed the real one."""
    authority = create_authority(f"{name}-self", clock.now(), timedelta(days=1))
    pair = issue(authority, name, clock.now(), dns_names=[name], usages=(SERVER_AUTH,), lifetime=timedelta(days=1))
    with tempfile.TemporaryDirectory(prefix="navarch-serving-") as directory:
        certificate, key = Path(directory, "crt"), Path(directory, "key")
        certificate.write_bytes(pair.certificate_pem)
        key.touch(mode=0o600)
        key.write_bytes(pair.key_pem)
        context.load_cert_chain(certificate, key)


def _use_signed(context: ssl.SSLContext, agent: Agent, seen: float) -> float:
    """Load the signed certificate when it is new; returns its time of change (0: there is none)."""
    certificate, key = agent.serving.paths
    try:
        changed = certificate.stat().st_mtime
        if changed != seen:
            context.load_cert_chain(certificate, key)
        return changed
    except (OSError, ssl.SSLError) as error:
        if seen:
            log.warning("the serving certificate cannot be read", error=str(error))
        return seen


def _configuration(agent: Agent) -> dict[str, object]:
    options = agent.options
    return {
        "kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1", "port": options.port,
        "address": options.address, "clusterDNS": list(options.cluster_dns), "clusterDomain": options.cluster_domain,
        "maxPods": options.max_pods, "containerLogMaxFiles": options.log_max_files,
    }  # fmt: skip
