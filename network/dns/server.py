"""The DNS server of a node: UDP and TCP on one address, answers from memory, outside names through ``Upstream``."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import Any

import dns.exception
import dns.message
import dns.rcode
import dns.rdatatype
import structlog
from prometheus_client import Counter

from network.dns.answering import ExternalAlias, answer_query, complete_alias, error_response, parse_query, to_wire
from network.dns.upstream import Upstream
from network.dns.zone import Zone

log = structlog.get_logger(__name__)

QUERIES = Counter("navarch_dns_queries_total", "Queries, by transport and who answered.", ["transport", "source"])
TCP_IDLE_SECONDS = 10.0
MAX_OUTSIDE_QUERIES = 200


class DnsServer:
    """Serves one zone."""

    def __init__(self, zone: Zone, upstream: Upstream) -> None:
        self.zone, self.upstream = zone, upstream
        self._outside: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None
        self._server: asyncio.Server | None = None

    async def start(self, address: str, port: int = 53) -> int:
        """Listen; returns the port (0 picks one)."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: _Udp(self), local_addr=(address, port))
        port = int(self._transport.get_extra_info("sockname")[1])
        self._server = await asyncio.start_server(self._on_tcp, address, port)
        return port

    async def stop(self) -> None:
        if self._transport is not None:
            self._transport.close()
        if self._server is not None:
            self._server.close()
        for task in list(self._outside):
            task.cancel()
        await asyncio.gather(*self._outside, return_exceptions=True)

    def answer_udp(self, wire: bytes, peer: Any) -> None:
        query = parse_query(wire)
        if query is None or self._transport is None:
            return
        try:
            response = answer_query(self.zone, query)
        except ExternalAlias as alias:
            self._go_outside(query, peer, alias.target)
            return
        if response is None:
            self._go_outside(query, peer, "")
            return
        QUERIES.labels("udp", "zone").inc()
        self._transport.sendto(to_wire(response, query, udp=True), peer)

    def _go_outside(self, query: dns.message.QueryMessage, peer: Any, alias: str) -> None:
        if len(self._outside) >= MAX_OUTSIDE_QUERIES:
            self._send(error_response(query, dns.rcode.SERVFAIL), query, peer)
            return
        QUERIES.labels("udp", "upstream").inc()
        task = asyncio.ensure_future(self._outside_udp(query, peer, alias))
        self._outside.add(task)
        task.add_done_callback(self._outside.discard)

    async def _outside_udp(self, query: dns.message.QueryMessage, peer: Any, alias: str) -> None:
        self._send(await self._ask_outside(query, alias), query, peer)

    async def _ask_outside(self, query: dns.message.QueryMessage, alias: str) -> dns.message.Message:
        try:
            if not alias:
                return await self.upstream.resolve(query)
            beyond = dns.message.make_query(alias + ".", query.question[0].rdtype)
            return complete_alias(query, alias, await self.upstream.resolve(beyond))
        except (OSError, dns.exception.DNSException) as error:
            log.debug("no answer from upstream", name=query.question[0].name.to_text(), error=str(error))
            return error_response(query, dns.rcode.SERVFAIL)

    def _send(self, response: dns.message.Message, query: dns.message.Message, peer: Any) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(to_wire(response, query, udp=True), peer)

    async def _on_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, TimeoutError, ConnectionError):
                while True:
                    head = await asyncio.wait_for(reader.readexactly(2), TCP_IDLE_SECONDS)
                    wire = await asyncio.wait_for(reader.readexactly(struct.unpack("!H", head)[0]), TCP_IDLE_SECONDS)
                    query = parse_query(wire)
                    if query is None:
                        return
                    QUERIES.labels("tcp", "any").inc()
                    try:
                        response = answer_query(self.zone, query) or await self._ask_outside(query, "")
                    except ExternalAlias as alias:
                        response = await self._ask_outside(query, alias.target)
                    out = to_wire(response, query, udp=False)
                    writer.write(struct.pack("!H", len(out)) + out)
                    await writer.drain()
        finally:
            writer.close()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._server.answer_udp(data, addr)

    def error_received(self, exc: Exception) -> None:
        log.debug("dns socket", error=str(exc))
