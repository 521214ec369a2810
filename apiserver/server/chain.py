"""The filter chain: what happens to every request before an endpoint sees it.

Filters are folded once at start into one awaitable. Their order is the order of trust: nothing that costs is done for
a caller before it is known who calls, and nothing that changes the world before it is known that they may.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import structlog
from aiohttp import web

from apiserver.auth.interface import (
    ALL_AUTHENTICATED,
    ALL_UNAUTHENTICATED,
    ANONYMOUS,
    Attributes,
    Authenticator,
    Authorizer,
    Credentials,
    User,
)
from apiserver.server import metrics
from apiserver.server.context import RequestContext
from apiserver.server.listen import client_certificate
from apiserver.server.request_info import is_long_running
from apiserver.server.responses import PlainNotFound, Reply, plain_not_found, send, status_reply
from machinery.meta.errors import ApiError, bad_request, forbidden, timeout, unauthorized

log = structlog.get_logger("apiserver")

Next = Callable[[RequestContext], Awaitable["Reply | web.StreamResponse"]]
Filter = Callable[[RequestContext, Next], Awaitable["Reply | web.StreamResponse"]]

#: How long a request waits for a starting server's policy, and what its last rule takes from the store to the index.
POLICY_WAIT_SECONDS = 10.0
POLICY_SEEN_SECONDS = 0.02

ANONYMOUS_USER = User(ANONYMOUS, groups=(ALL_UNAUTHENTICATED,))
DEFAULT_DEADLINE_SECONDS = 60.0
MAX_DEADLINE_SECONDS = 60.0


class Impersonator(Protocol):
    """auth's part: the user whom the request wants to be, checked, or None when it does not ask."""

    def impersonate(self, attributes: Attributes, headers: Mapping[str, str]) -> User | None: ...


def fold(filters: Sequence[Filter], endpoint: Next) -> Next:
    chain = endpoint
    for each in reversed(filters):
        chain = _bind(each, chain)
    return chain


def _bind(each: Filter, following: Next) -> Next:
    async def step(context: RequestContext) -> Reply | web.StreamResponse:
        return await each(context, following)

    return step


class Edge:
    """The outermost step: makes the context, guards against panics, writes the answer, counts it."""

    def __init__(self, chain: Next) -> None:
        self._chain = chain
        self.in_flight = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        started = time.perf_counter()
        context = RequestContext(request, request.headers.get("Audit-Id") or str(uuid.uuid4()))
        self.in_flight += 1
        try:
            try:
                answer = await self._chain(context)
            except PlainNotFound:
                answer = plain_not_found()
            except ApiError as error:
                answer = status_reply(context, error)
            except asyncio.CancelledError:
                raise
            except ConnectionError:
                answer = status_reply(context, ApiError(499, "", "client closed the connection"))
            except Exception as error:
                log.error("panic", error=repr(error), exc_info=error, **context.log_fields())
                answer = status_reply(context, panic_status(context))
            if isinstance(answer, Reply):
                answer = await send(context, answer)
            metrics.observe(context, answer.status, time.perf_counter() - started)
            return answer
        finally:
            self.in_flight -= 1


def panic_status(context: RequestContext) -> ApiError:
    text = f"This request caused apiserver to panic. Look in the logs for details (audit id {context.audit_id})."
    return ApiError(500, "InternalError", f"Internal error occurred: {text}", {"causes": [{"message": text}]})


def attributes_of(context: RequestContext, user: User) -> Attributes:
    info = context.info
    if not info.is_resource:
        return Attributes(user, info.verb, info.path)
    verb = info.verb
    label_selector = field_selector = ""
    if verb in ("list", "watch", "deletecollection") and context.request.query_string:
        label_selector = context.query.get("labelSelector", "")
        field_selector = context.query.get("fieldSelector", "")
    return Attributes(
        user, verb, info.path, True, info.group, info.version, info.resource, info.subresource, info.namespace,
        info.name, label_selector, field_selector,
    )  # fmt: skip


class AuthenticationFilter:
    def __init__(self, authenticator: Authenticator, *, anonymous: bool = True) -> None:
        self._authenticator = authenticator
        self._anonymous = anonymous

    async def __call__(self, context: RequestContext, following: Next) -> Reply | web.StreamResponse:
        context.user = await self._identify(context)
        return await following(context)

    async def _identify(self, context: RequestContext) -> User:
        request = context.request
        protocols = request.headers.get("Sec-WebSocket-Protocol")
        credentials = Credentials(
            request.headers.get("Authorization"),
            client_certificate(request),
            request.headers,
            tuple(part.strip() for part in protocols.split(",")) if protocols else (),
        )
        user = await self._authenticator.authenticate(credentials)
        if user is None:
            if not self._anonymous:
                raise unauthorized()
            return ANONYMOUS_USER
        if ALL_AUTHENTICATED not in user.groups and ALL_UNAUTHENTICATED not in user.groups:
            user = User(user.name, user.uid, (*user.groups, ALL_AUTHENTICATED), user.extra)
        return user


class ImpersonationFilter:
    """The caller becomes whom it asks to be, if it may."""

    def __init__(self, impersonator: Impersonator) -> None:
        self._impersonator = impersonator

    async def __call__(self, context: RequestContext, following: Next) -> Reply | web.StreamResponse:
        assert context.user is not None
        wanted = self._impersonator.impersonate(attributes_of(context, context.user), context.request.headers)
        if wanted is not None:
            context.user = wanted
        return await following(context)


class AuthorizationFilter:
    """``policy_there`` is set when a starting server has written its own policy. Until then nobody is refused who may
    have a right in a moment: the components of a new cluster start beside their server, and a refusal would send each
    of their watches into a back-off.
    """

    def __init__(self, authorizer: Authorizer, policy_there: asyncio.Event) -> None:
        self._authorizer = authorizer
        self._policy_there = policy_there

    async def __call__(self, context: RequestContext, following: Next) -> Reply | web.StreamResponse:
        assert context.user is not None
        attributes = attributes_of(context, context.user)
        await self._require(attributes)
        if attributes.subresource in STREAMS and attributes.verb == "get" and is_upgrade(context.request):
            # An upgrade by GET does what POST does and needs the same right.
            await self._require(replace(attributes, verb="create"))
        return await following(context)

    async def _require(self, attributes: Attributes) -> None:
        decision = self._authorizer.authorize(attributes)
        if not decision.allowed and not self._policy_there.is_set() and attributes.user.name != ANONYMOUS:
            try:
                await asyncio.wait_for(self._policy_there.wait(), POLICY_WAIT_SECONDS)
                await asyncio.sleep(POLICY_SEEN_SECONDS)
            except TimeoutError:
                pass
            decision = self._authorizer.authorize(attributes)
        if not decision.allowed:
            raise refusal(attributes, decision.reason)


STREAMS = frozenset(("exec", "attach", "portforward"))


def is_upgrade(request: web.BaseRequest) -> bool:
    return "upgrade" in request.headers.get("Connection", "").lower()


def refusal(attributes: Attributes, reason: str) -> ApiError:
    """The 403 as people and tools parse it."""
    user = attributes.user.name
    if not attributes.is_resource:
        return _with_reason(f'User "{user}" cannot {attributes.verb} path "{attributes.path}"', reason, attributes)
    resource = attributes.resource
    if attributes.subresource:
        resource = f"{resource}/{attributes.subresource}"
    text = f'User "{user}" cannot {attributes.verb} resource "{resource}" in API group "{attributes.api_group}"'
    text += f' in the namespace "{attributes.namespace}"' if attributes.namespace else " at the cluster scope"
    return _with_reason(text, reason, attributes)


def _with_reason(text: str, reason: str, attributes: Attributes) -> ApiError:
    if reason:
        text = f"{text}: {reason}"
    if not attributes.is_resource:
        return ApiError(403, "Forbidden", f"forbidden: {text}", {})
    return forbidden(attributes.api_group, attributes.resource, attributes.name, text)


async def deadline_filter(context: RequestContext, following: Next) -> Reply | web.StreamResponse:
    """Ordinary requests end in a minute, or in ``?timeout=``; watches and streams have their own clocks."""
    if is_long_running(context.info) or not context.info.is_resource:
        return await following(context)
    seconds = DEFAULT_DEADLINE_SECONDS
    if context.request.query_string and "timeout" in context.query:
        seconds = parse_timeout(context.query["timeout"])
    elif context.info.verb == "get":
        return await following(context)  # answered from memory; a timer would cost more than the work
    try:
        async with asyncio.timeout(seconds):
            return await following(context)
    except TimeoutError:
        raise timeout("request did not complete within the allotted timeout") from None


_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_timeout(text: str) -> float:
    seconds = parse_go_duration(text)
    if seconds is None:
        raise bad_request(f'invalid timeout specified in the request URL - time: invalid duration "{text}"')
    return seconds if 0 < seconds <= MAX_DEADLINE_SECONDS else DEFAULT_DEADLINE_SECONDS


def parse_go_duration(text: str) -> float | None:
    """``1h15m30.5s`` in seconds; None if it is no duration."""
    rest, sign, total = text, 1.0, 0.0
    if rest[:1] in "+-" and rest:
        sign, rest = (-1.0 if rest[0] == "-" else 1.0), rest[1:]
    if rest == "0":
        return 0.0
    if not rest:
        return None
    while rest:
        digits = 0
        while digits < len(rest) and (rest[digits].isdigit() or rest[digits] == "."):
            digits += 1
        unit = digits
        while unit < len(rest) and not rest[unit].isdigit() and rest[unit] != ".":
            unit += 1
        try:
            total += float(rest[:digits]) * _UNITS[rest[digits:unit]]
        except (ValueError, KeyError):
            return None
        rest = rest[unit:]
    return sign * total
