"""Finds out whether the servers behind APIServices answer, and writes it into the conditions.

Level-based: a round looks at every APIService. Rounds follow changes of APIServices, services and endpoints, and one
comes every half minute by itself. A server that is there is asked what it serves.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
import orjson
import structlog
from yarl import URL

from apiserver.aggregation.backend import AGGREGATOR, Backends
from apiserver.aggregation.registrations import GROUP, RESOURCE, Registrations, Remote
from apiserver.aggregation.services import ServiceError, resolve_service
from apiserver.registry.interface import ObjectReader, ObjectWriter
from machinery.meta.conditions import get_condition
from machinery.meta.errors import ApiError
from machinery.meta.objects import format_time
from machinery.runtime.clock import Clock

log = structlog.get_logger("apiserver.aggregation")
Object = dict[str, Any]
INTERVAL_SECONDS = 30.0
SETTLE_SECONDS = 0.2
CHECK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    available: bool
    reason: str
    message: str


LOCAL = Finding(True, "Local", "Local APIServices are always available")
PASSED = Finding(True, "Passed", "all checks passed")


class Unanswered(Exception):
    """The server did not give a document; the message says why."""


def judge_service(remote: Remote, reader: ObjectReader) -> Finding | None:
    """What is wrong with the service and its endpoints; None when the server can be asked."""
    name, where = remote.service, remote.namespace
    service = reader.get("", "services", where, name)
    if service is None:
        return Finding(False, "ServiceNotFound", f'service/{name} in "{where}" is not present')
    ports = service["spec"].get("ports") or ()
    port = next((each for each in ports if each.get("port") == remote.port), None)
    if port is None and service["spec"].get("type") != "ExternalName":
        text = f'service/{name} in "{where}" is not listening on port {remote.port}'
        return Finding(False, "ServicePortError", text)
    try:
        resolve_service(reader, where, name, remote.port)
    except ServiceError:
        slices = any(
            (each["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == name
            for each in reader.list("discovery.k8s.io", "endpointslices", where)
        )
        if not slices:
            return Finding(False, "EndpointsNotFound", f'cannot find endpointslices for service/{name} in "{where}"')
        known = (port or {}).get("name") or ""
        return Finding(False, "MissingEndpoints",
                       f'endpoints for service/{name} in "{where}" have no addresses with port name "{known}"')
    return None


def plan_condition(obj: Object, finding: Finding, now: str) -> Object | None:
    """The APIService with a true condition Available; None when it has one."""
    wanted = {"status": "True" if finding.available else "False", "reason": finding.reason, "message": finding.message}
    conditions = (obj.get("status") or {}).get("conditions") or []
    present = get_condition(conditions, "Available")
    if present is not None and all(present.get(key) == value for key, value in wanted.items()):
        return None
    at = present["lastTransitionTime"] if present and present.get("status") == wanted["status"] else now
    condition = {"type": "Available", "lastTransitionTime": at, **wanted}
    others = [each for each in conditions if each.get("type") != "Available"]
    return {**obj, "status": {**(obj.get("status") or {}), "conditions": [*others, condition]}}


class Availability:
    def __init__(
        self, reader: ObjectReader, writer: ObjectWriter, registrations: Registrations, backends: Backends, clock: Clock
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._registrations = registrations
        self._backends = backends
        self._clock = clock
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None

    def start(self) -> None:
        self._registrations.listen(self._changed.set)
        for group, resource in (("", "services"), ("discovery.k8s.io", "endpointslices"), ("", "endpoints")):
            self._reader.on_change(group, resource, self._network_changed)
        self._changed.set()
        self._task = asyncio.create_task(self._run(), name="apiservice-availability")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def _network_changed(self, change: str, obj: Object) -> None:
        namespace = obj["metadata"].get("namespace")
        if any(each.namespace == namespace for each in self._registrations):
            self._changed.set()

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL_SECONDS):
                    await self._changed.wait()
            self._changed.clear()
            services = list(self._reader.list(GROUP, RESOURCE))
            await asyncio.gather(*(self._sync(each) for each in services))
            await self._clock.sleep(SETTLE_SECONDS)

    async def _sync(self, obj: Object) -> None:
        spec = obj["spec"]
        remote = self._registrations.get(spec.get("group") or "", spec.get("version") or "")
        finding = LOCAL if spec.get("service") is None or remote is None else await self._check(remote)
        change = partial(plan_condition, finding=finding, now=format_time(self._clock.now()))
        if change(obj) is None:
            return
        name = obj["metadata"]["name"]
        if remote is not None:
            log.info("API service judged", name=name, available=finding.available, reason=finding.reason)
        try:
            await self._writer.update(GROUP, RESOURCE, "", name, change, subresource="status")
        except ApiError as error:
            log.info("condition of an API service not written", name=name, error=str(error))

    async def _check(self, remote: Remote) -> Finding:
        wrong = judge_service(remote, self._reader)
        if wrong is not None:
            return wrong
        try:
            found = await self._fetch(remote, f"/apis/{remote.group}/{remote.version}")
        except Unanswered as error:
            return Finding(False, "FailedDiscoveryCheck", str(error))
        openapi = None
        with contextlib.suppress(Unanswered):
            index = await self._fetch(remote, "/openapi/v3")
            openapi = (index.get("paths") or {}).get(f"apis/{remote.group}/{remote.version}")
        self._registrations.learned(remote, found.get("resources") or [], openapi)
        return PASSED

    async def _fetch(self, remote: Remote, path: str) -> Object:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CHECK_SECONDS))
        try:
            backend = self._backends.to(remote, path, AGGREGATOR)
            shown = f"https://{backend.authority}{path}"
            headers = [*backend.headers, ("Accept", "application/json")]
            async with self._session.get(
                URL(shown, encoded=True), headers=headers, ssl=backend.tls or True, server_hostname=remote.host,
                allow_redirects=False,
            ) as answer:
                if not 200 <= answer.status < 300:
                    raise Unanswered(f"bad status from {shown}: {answer.status}")
                doc = orjson.loads(await answer.read())
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, ServiceError) as error:
            text = str(error) or type(error).__name__
            raise Unanswered(f"failing or missing response from https://{remote.host}:{remote.port}{path}: {text}") from error
        if not isinstance(doc, dict):
            raise Unanswered(f"failing or missing response from {shown}: not a document")
        return doc
