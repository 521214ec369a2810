"""The filter of the chain: a seat for the request, or 429.

Streams (exec, log, proxy …) are not counted: they live long and cost little. A watch waits for its turn like a list
and then holds no seat. The answer says by whose rules it was treated.
"""

from __future__ import annotations

from aiohttp import web
from prometheus_client import Counter

from apiserver.flowcontrol.dispatcher import Dispatcher
from apiserver.flowcontrol.level import Rejected
from apiserver.server.chain import Next
from apiserver.server.context import RequestContext
from apiserver.server.metrics import REGISTRY
from apiserver.server.request_info import is_long_running
from apiserver.server.responses import TEXT, Reply

#: A quarter of the time that a request may take.
QUEUE_WAIT_SECONDS = 15.0
RETRY_AFTER_SECONDS = 1
TOO_MANY = b"Too many requests, please try again later.\n"

REJECTED = Counter(
    "apiserver_flowcontrol_rejected_requests", "Requests that got no seat", ("flow_schema", "priority_level", "reason"),
    registry=REGISTRY,
)  # fmt: skip


class FlowControlFilter:
    def __init__(self, dispatcher: Dispatcher, *, wait_seconds: float = QUEUE_WAIT_SECONDS) -> None:
        self._dispatcher = dispatcher
        self._wait_seconds = wait_seconds

    async def __call__(self, context: RequestContext, following: Next) -> Reply | web.StreamResponse:
        info = context.info
        if info.verb != "watch" and is_long_running(info):
            return await following(context)
        assert context.user is not None
        found = self._dispatcher.classify(context.user, info)
        level = found.level
        context.priority_level = level.name
        context.headers["X-Kubernetes-PF-FlowSchema-UID"] = found.schema.uid
        context.headers["X-Kubernetes-PF-PriorityLevel-UID"] = level.uid
        if not level.try_acquire():
            try:
                await level.acquire(found.flow, self._wait_seconds)
            except Rejected as error:
                REJECTED.labels(found.schema.name, level.name, error.reason).inc()
                return Reply(TOO_MANY, TEXT, 429, {"Retry-After": str(RETRY_AFTER_SECONDS)})
        if info.verb == "watch":
            level.release()
            return await following(context)
        try:
            return await following(context)
        finally:
            level.release()
