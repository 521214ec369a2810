"""Names outside the cluster: asked of the node's own resolvers, remembered as long as they allow.

The search list of a pod makes four wrong names out of every outside name, so that negative answers are kept as well.
A query that is already on its way is waited for instead of asked again.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.rcode

CACHE_ENTRIES = 10_000
MAX_TTL_SECONDS = 3600
NEGATIVE_TTL_SECONDS = 30
TIMEOUT_SECONDS = 2.0

Key = tuple[str, int, int]


def read_nameservers(path: str, *, ours: str) -> list[str]:
    """The nameservers of a resolv.conf, without ourselves (that would be a loop)."""
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = [line.split()[1] for line in lines if line.startswith("nameserver") and len(line.split()) > 1]
    return [server for server in found if server != ours]


class Upstream:
    """A caching forwarder."""

    def __init__(self, servers: list[str], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.servers = servers
        self._monotonic = monotonic
        self._cache: OrderedDict[Key, tuple[float, dns.message.Message]] = OrderedDict()
        self._flying: dict[Key, asyncio.Future[dns.message.Message]] = {}

    async def resolve(self, query: dns.message.QueryMessage) -> dns.message.Message:
        """An answer with the query's id. Raises OSError or dns.exception.DNSException when nobody answers."""
        question = query.question[0]
        key = (question.name.to_text().lower(), int(question.rdtype), int(question.rdclass))
        kept = self._cache.get(key)
        if kept is not None and kept[0] > self._monotonic():
            self._cache.move_to_end(key)
            return self._with_id(kept[1], query)
        flying = self._flying.get(key)
        if flying is None:
            flying = asyncio.ensure_future(self._ask(query))
            self._flying[key] = flying
            flying.add_done_callback(lambda done: self._landed(key, done))
        return self._with_id(await asyncio.shield(flying), query)

    async def _ask(self, query: dns.message.QueryMessage) -> dns.message.Message:
        error: Exception = OSError("no upstream name server is configured")
        for server in self.servers:
            try:
                answer, _ = await dns.asyncquery.udp_with_fallback(query, server, timeout=TIMEOUT_SECONDS)
            except (OSError, dns.exception.DNSException) as failed:
                error = failed
                continue
            return answer
        raise error

    def _landed(self, key: Key, done: asyncio.Future[dns.message.Message]) -> None:
        self._flying.pop(key, None)
        if done.cancelled() or done.exception() is not None:
            return
        answer = done.result()
        ttl = min((rrset.ttl for rrset in answer.answer), default=NEGATIVE_TTL_SECONDS)
        if answer.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN) and ttl:
            self._cache[key] = (self._monotonic() + min(ttl, MAX_TTL_SECONDS), answer)
            if len(self._cache) > CACHE_ENTRIES:
                self._cache.popitem(last=False)

    @staticmethod
    def _with_id(answer: dns.message.Message, query: dns.message.QueryMessage) -> dns.message.Message:
        response = dns.message.make_response(query, recursion_available=True)
        response.set_rcode(answer.rcode())
        response.answer, response.authority = list(answer.answer), list(answer.authority)
        response.additional = list(answer.additional)
        return response
