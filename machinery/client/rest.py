"""The REST client: one HTTP session, requests in, dicts and :class:`ApiError` out.

Everything the components know of the API passes here. The client is deliberately untyped over kinds: a resource is
named by its group-version and plural, an object is a dict. Connection trouble is a :class:`ConnectError` so that loops
can tell "the server said no" from "there was no server".
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import aiohttp
import orjson
from yarl import URL

from machinery.client.kubeconfig import ClientConfig, in_cluster_config, load_kubeconfig
from machinery.client.sockets import watchful_socket
from machinery.client.watching import WatchEvent, watch_lines
from machinery.meta.errors import ApiError, expired

Object = dict[str, Any]
Params = Mapping[str, str | Sequence[str]] | None
PatchType = Literal["merge", "json", "strategic", "apply"]

PATCH_CONTENT_TYPES: dict[str, str] = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_ONLY_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class ConnectError(Exception):
    """No answer: refused, reset, timed out, TLS trouble. The request may or may not have taken effect."""


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return orjson.loads(self.body) if self.body else {}


class Client:
    """An authenticated connection pool to one API server. Close it, or use it as an async context manager."""

    def __init__(self, config: ClientConfig, *, user_agent: str = "navarch", timeout_seconds: float = 60.0) -> None:
        self.config = config
        self.user_agent = user_agent
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=5)
        self._session: aiohttp.ClientSession | None = None
        self._base = config.server

    @classmethod
    def from_kubeconfig(cls, source: str | Path | Object, *, user_agent: str = "navarch", **options: Any) -> Client:
        return cls(load_kubeconfig(source), user_agent=user_agent, **options)

    @classmethod
    def in_cluster(cls, *, user_agent: str = "navarch", **options: Any) -> Client:
        return cls(in_cluster_config(), user_agent=user_agent, **options)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def reload(self, config: ClientConfig | None = None) -> None:
        """Use new credentials (rotated certificate) from now on; running requests finish on the old session."""
        if config is not None:
            self.config = config
        old, self._session = self._session, None
        if old is not None:
            asyncio.get_running_loop().call_later(60, lambda: asyncio.ensure_future(old.close()))

    def session(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            connector = aiohttp.TCPConnector(
                ssl=self.config.ssl_context(), limit=0, keepalive_timeout=90, socket_factory=watchful_socket
            )
            self._session = aiohttp.ClientSession(
                connector=connector, auto_decompress=True, headers={"User-Agent": self.user_agent},
                skip_auto_headers=("Accept-Encoding",), read_bufsize=2**18,
            )  # fmt: skip
        return self._session

    # --- raw requests -------------------------------------------------------------------------------------------

    def url(self, path: str, params: Params = None) -> URL:
        query: list[tuple[str, str]] = []
        for key, value in (params or {}).items():
            if isinstance(value, str):
                query.append((key, value))
            else:
                query.extend((key, item) for item in value)
        return URL(self._base + path, encoded=True).with_query(query) if query else URL(self._base + path, encoded=True)

    def _headers(self, headers: Mapping[str, str] | None) -> dict[str, str]:
        out = {"Accept": "application/json", **(headers or {})}
        token = self.config.bearer_token()
        if token:
            out["Authorization"] = f"Bearer {token}"
        if self.config.impersonate:
            out["Impersonate-User"] = self.config.impersonate
        return out

    async def request(
        self, method: str, path: str, *, params: Params = None, body: bytes | Any = None,
        headers: Mapping[str, str] | None = None, timeout_seconds: float | None = None,
    ) -> Response:
        """One exchange. ``body`` bytes are sent as they are, anything else as JSON. Raises ApiError, ConnectError."""
        sent = self._headers(headers)
        if body is not None and not isinstance(body, bytes):
            body = orjson.dumps(body)
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        timeout = aiohttp.ClientTimeout(total=timeout_seconds) if timeout_seconds is not None else self._timeout
        try:
            async with self.session().request(
                method, self.url(path, params), data=body, headers=sent, timeout=timeout, allow_redirects=False
            ) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ConnectError(f"{method} {self._base}{path}: {error or type(error).__name__}") from error
        if answer.status >= 400:
            raise _error_of(answer.status, answer.headers, content)
        return Response(answer.status, answer.headers, content)

    @contextlib.asynccontextmanager
    async def stream(
        self, method: str, path: str, params: Params = None, *, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer to read piece by piece (logs, watches); no total time limit."""
        try:
            answer = await self.session().request(
                method, self.url(path, params), headers=self._headers(headers),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
            )  # fmt: skip
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ConnectError(f"{method} {self._base}{path}: {error or type(error).__name__}") from error
        try:
            if answer.status >= 400:
                raise _error_of(answer.status, answer.headers, await answer.read())
            yield answer
        finally:
            answer.close()

    @contextlib.asynccontextmanager
    async def websocket(
        self, path: str, params: Params = None, *, protocols: Sequence[str] = ("v5.channel.k8s.io",)
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A WebSocket (exec, attach, port-forward)."""
        headers = self._headers(None)
        headers.pop("Accept")
        try:
            socket = await self.session().ws_connect(
                self.url(path, params), protocols=tuple(protocols), headers=headers, max_msg_size=0, autoping=True
            )
        except aiohttp.WSServerHandshakeError as error:
            raise ApiError(error.status, "", f"unable to upgrade connection: {error.message}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ConnectError(f"websocket {self._base}{path}: {error or type(error).__name__}") from error
        try:
            yield socket
        finally:
            await socket.close()

    # --- resources ----------------------------------------------------------------------------------------------

    async def get(
        self, gv: str, plural: str, name: str, *, namespace: str | None = None, subresource: str | None = None,
        params: Params = None,
    ) -> Object:
        path = resource_path(gv, plural, namespace, name, subresource)
        return (await self.request("GET", path, params=params)).json()  # type: ignore[no-any-return]

    async def list(
        self, gv: str, plural: str, *, namespace: str | None = None, label_selector: str | None = None,
        field_selector: str | None = None, limit: int = 0, params: Params = None, metadata_only: bool = False,
    ) -> Object:
        """The List object (all of it: pages are followed when ``limit`` cuts it)."""
        query: dict[str, Any] = {**_selectors(label_selector, field_selector), **(params or {})}
        if limit:
            query["limit"] = str(limit)
        headers = {"Accept": METADATA_ONLY_LIST} if metadata_only else None
        path = resource_path(gv, plural, namespace)
        whole: Object = (await self.request("GET", path, params=query, headers=headers)).json()
        whole["items"] = whole.get("items") or []
        page = whole
        while page["metadata"].get("continue"):
            query["continue"] = page["metadata"]["continue"]
            page = (await self.request("GET", path, params=query, headers=headers)).json()
            whole["items"].extend(page.get("items") or [])
        whole["metadata"].pop("continue", None)
        whole["metadata"].pop("remainingItemCount", None)
        return whole

    async def create(
        self, gv: str, plural: str, obj: Object, *, namespace: str | None = None, name: str | None = None,
        subresource: str | None = None, params: Params = None,
    ) -> Object:
        """POST. ``namespace`` defaults to the object's; ``name`` and ``subresource`` for binding, eviction, token."""
        namespace = namespace if namespace is not None else obj.get("metadata", {}).get("namespace")
        path = resource_path(gv, plural, namespace, name, subresource)
        return (await self.request("POST", path, params=params, body=obj)).json()  # type: ignore[no-any-return]

    async def update(
        self, gv: str, plural: str, obj: Object, *, subresource: str | None = None, params: Params = None
    ) -> Object:
        meta = obj["metadata"]
        path = resource_path(gv, plural, meta.get("namespace"), meta["name"], subresource)
        return (await self.request("PUT", path, params=params, body=obj)).json()  # type: ignore[no-any-return]

    async def patch(
        self, gv: str, plural: str, name: str, patch: Any, *, namespace: str | None = None,
        subresource: str | None = None, patch_type: PatchType = "merge", field_manager: str | None = None,
        force: bool = False, params: Params = None,
    ) -> Object:
        query: dict[str, Any] = dict(params or {})
        if field_manager:
            query["fieldManager"] = field_manager
        if force:
            query["force"] = "true"
        path = resource_path(gv, plural, namespace, name, subresource)
        headers = {"Content-Type": PATCH_CONTENT_TYPES[patch_type]}
        return (await self.request("PATCH", path, params=query, body=patch, headers=headers)).json()  # type: ignore[no-any-return]

    async def delete(
        self, gv: str, plural: str, name: str, *, namespace: str | None = None,
        grace_period_seconds: int | None = None, propagation_policy: str | None = None, uid: str | None = None,
        resource_version: str | None = None, dry_run: bool = False,
    ) -> Object:
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if grace_period_seconds is not None:
            options["gracePeriodSeconds"] = grace_period_seconds
        if propagation_policy:
            options["propagationPolicy"] = propagation_policy
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        if any(preconditions.values()):
            options["preconditions"] = {key: value for key, value in preconditions.items() if value}
        if dry_run:
            options["dryRun"] = ["All"]
        path = resource_path(gv, plural, namespace, name)
        return (await self.request("DELETE", path, body=options)).json()  # type: ignore[no-any-return]

    async def delete_collection(
        self, gv: str, plural: str, *, namespace: str | None = None, label_selector: str | None = None,
        field_selector: str | None = None, propagation_policy: str | None = None,
    ) -> Object:
        query: dict[str, str] = _selectors(label_selector, field_selector)
        if propagation_policy:
            query["propagationPolicy"] = propagation_policy
        return (await self.request("DELETE", resource_path(gv, plural, namespace), params=query)).json()  # type: ignore[no-any-return]

    async def watch(
        self, gv: str, plural: str, *, namespace: str | None = None, label_selector: str | None = None,
        field_selector: str | None = None, resource_version: str | None = None, send_initial_events: bool = False,
        timeout_seconds: int | None = None, bookmarks: bool = True, metadata_only: bool = False,
    ) -> AsyncIterator[WatchEvent]:
        """``(type, object)`` until the server closes the stream. ERROR events raise ApiError (410 as Expired)."""
        query: dict[str, str] = {"watch": "true", **_selectors(label_selector, field_selector)}
        if bookmarks:
            query["allowWatchBookmarks"] = "true"
        if resource_version is not None:
            query["resourceVersion"] = resource_version
        if send_initial_events:
            query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        if timeout_seconds is not None:
            query["timeoutSeconds"] = str(timeout_seconds)
        headers = {"Accept": METADATA_ONLY} if metadata_only else None
        async with self.stream("GET", resource_path(gv, plural, namespace), query, headers=headers) as answer:
            try:
                async for event in watch_lines(answer.content):
                    yield event
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise ConnectError(f"watch {plural}: {error or type(error).__name__}") from error


def resource_path(
    gv: str, plural: str, namespace: str | None = None, name: str | None = None, subresource: str | None = None
) -> str:
    """``/apis/apps/v1/namespaces/default/deployments/web/scale``; ``gv`` "v1" is the core group."""
    parts = ["/apis" if "/" in gv else "/api", gv]
    if namespace:
        parts += ["namespaces", namespace]
    parts.append(plural)
    if name:
        parts.append(quote(name, safe=":@!$&'()*+,;=~"))
    if subresource:
        parts.append(subresource)
    return "/".join(parts)


def _selectors(label_selector: str | None, field_selector: str | None) -> dict[str, str]:
    out = {}
    if label_selector:
        out["labelSelector"] = label_selector
    if field_selector:
        out["fieldSelector"] = field_selector
    return out


def _error_of(status: int, headers: Mapping[str, str], content: bytes) -> ApiError:
    try:
        doc = orjson.loads(content)
    except orjson.JSONDecodeError:
        doc = None
    if isinstance(doc, dict) and doc.get("kind") == "Status":
        error = ApiError.from_status(doc, status)
    elif status == 410:
        error = expired(content.decode(errors="replace").strip())
    else:
        reason = {404: "NotFound", 401: "Unauthorized", 403: "Forbidden", 503: "ServiceUnavailable"}.get(status, "")
        error = ApiError(status, reason, content.decode(errors="replace").strip() or f"HTTP {status}")
    if "Retry-After" in headers:
        error.headers["Retry-After"] = headers["Retry-After"]
    return error
