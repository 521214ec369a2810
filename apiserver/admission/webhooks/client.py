"""One call to somebody's HTTPS server, and the words of its failures, which people search for.

Also what other hooks of the server need (conversion of custom resources): ``post`` knows nothing of admission.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import errno
import socket
import ssl
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson
from yarl import URL

from apiserver.aggregation.services import ServiceError, resolve_service
from apiserver.registry.interface import ObjectReader

Object = dict[str, Any]
MOST_ANSWER_BYTES = 16 * 1024 * 1024


class CallError(Exception):
    """The call failed; the message says how, as Go's client would."""


@dataclass(frozen=True, slots=True)
class Target:
    """``shown`` is the address by which the server is known, ``host``/``port`` where it answers."""

    shown: str
    host: str
    port: int
    path: str
    name: str
    authority: str


class WebhookClient:
    """Keeps connections to all webhooks; made on first use."""

    def __init__(self, reader: ObjectReader) -> None:
        self._reader = reader
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, config: Object, doc: Object, timeout_seconds: int | None) -> Any:
        """The answer's JSON. ``config`` is a WebhookClientConfig."""
        query = f"?timeout={timeout_seconds}s" if timeout_seconds else ""
        shown = shown_url(config) + query
        try:
            target = self._target(config)
            tls = tls_context(config.get("caBundle") or "")
        except (ServiceError, CallError) as error:
            raise CallError(f'failed to call webhook: Post "{shown}": {error}') from error
        try:
            async with asyncio.timeout(timeout_seconds):
                try:
                    return await self._send(target, query, tls, doc)
                except aiohttp.ServerDisconnectedError:  # a kept connection that had just ended
                    return await self._send(target, query, tls, doc)
        except TimeoutError as error:
            raise CallError(f'failed to call webhook: Post "{shown}": context deadline exceeded') from error
        except (aiohttp.ClientError, OSError) as error:
            raise CallError(f'failed to call webhook: Post "{shown}": {network_text(error, target)}') from error

    async def _send(self, target: Target, query: str, tls: ssl.SSLContext, doc: Object) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
            )  # fmt: skip
        host = f"[{target.host}]" if ":" in target.host else target.host
        url = URL(f"https://{host}:{target.port}{target.path}{query}", encoded=True)
        headers = {
            "Host": target.authority, "Content-Type": "application/json", "Accept": "application/json, */*",
            "User-Agent": "kube-apiserver-admission",
        }  # fmt: skip
        async with self._session.post(
            url, data=orjson.dumps(doc), headers=headers, ssl=tls, server_hostname=target.name, allow_redirects=False
        ) as answer:
            body = await answer.content.read(MOST_ANSWER_BYTES)
            if not 200 <= answer.status < 300:
                raise CallError(f"failed to call webhook: {status_text(answer.status, body)}")
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise CallError(f"failed to call webhook: couldn't get version/kind; json parse error: {error}") from error

    def _target(self, config: Object) -> Target:
        service = config.get("service")
        if service is None:
            parts = urlsplit(config.get("url") or "")
            port = parts.port or 443
            return Target("", parts.hostname or "", port, parts.path or "/", parts.hostname or "", parts.netloc)
        namespace, name, port = service["namespace"], service["name"], service.get("port") or 443
        host, number = resolve_service(self._reader, namespace, name, port)
        known = f"{name}.{namespace}.svc"
        return Target(known, host, number, _path(service.get("path")), known, f"{known}:{port}")


def _path(text: str | None) -> str:
    return "/" + (text or "").lstrip("/")


def shown_url(config: Object) -> str:
    """The address as messages show it: a service by its name in the cluster."""
    service = config.get("service")
    if service is not None:
        authority = f"{service['name']}.{service['namespace']}.svc:{service.get('port') or 443}"
        return f"https://{authority}{_path(service.get('path'))}"
    url = str(config.get("url") or "")
    return url if urlsplit(url).path else f"{url}/"


@lru_cache(256)
def tls_context(ca_bundle: str) -> ssl.SSLContext:
    """Trust for one bundle (base64 of PEM); the machine's own authorities without any."""
    if not ca_bundle:
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=base64.b64decode(ca_bundle).decode("ascii"))
    except (ssl.SSLError, binascii.Error, ValueError) as error:
        raise CallError("unable to load root certificates: unable to parse bytes as PEM block") from error
    return context


def network_text(error: BaseException, target: Target) -> str:
    """What Go's network stack says of the same failure."""
    address = f"[{target.host}]:{target.port}" if ":" in target.host else f"{target.host}:{target.port}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return certificate_text(error.certificate_error)
    if isinstance(error, aiohttp.ClientConnectorError):
        cause: BaseException = error.os_error
    else:
        cause = error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return certificate_text(cause)
    if isinstance(cause, socket.gaierror) or isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"dial tcp: lookup {target.host}: no such host"
    if isinstance(cause, ssl.SSLError):
        return f"tls: {cause.reason or cause}"
    if isinstance(cause, aiohttp.ServerDisconnectedError):
        return "EOF"
    if isinstance(cause, OSError) and cause.errno:
        what = _ERRNO.get(cause.errno)
        return f"dial tcp {address}: connect: {what}" if what else f"dial tcp {address}: {cause.strerror}"
    return str(cause) or type(cause).__name__


_ERRNO = {
    errno.ECONNREFUSED: "connection refused", errno.EHOSTUNREACH: "no route to host",
    errno.ENETUNREACH: "network is unreachable", errno.ETIMEDOUT: "connection timed out",
}  # fmt: skip
_X509 = {
    10: "x509: certificate has expired or is not yet valid", 9: "x509: certificate has expired or is not yet valid",
    62: "x509: certificate is not valid for this name", 64: "x509: certificate is not valid for this address",
}  # fmt: skip


def certificate_text(error: BaseException) -> str:
    code = getattr(error, "verify_code", 0)
    why = _X509.get(code, "x509: certificate signed by unknown authority")
    return f"tls: failed to verify certificate: {why}"


def status_text(code: int, body: bytes) -> str:
    """A status that is not an answer, in the words of a Kubernetes client."""
    known = {
        400: "the server rejected our request for an unknown reason",
        401: "the server has asked for the client to provide credentials",
        403: "unknown", 404: "the server could not find the requested resource",
        405: "the server does not allow this method on the requested resource",
        409: "the server reported a conflict", 429: "the server has received too many requests and has asked us to try "
        "again later", 503: "the server is currently unable to handle the request",
        504: "the server was unable to return a response in the time allotted, but may still be processing the request",
    }.get(code)  # fmt: skip
    if known is not None:
        return known
    if code >= 500:
        said = body[:2048].decode(errors="replace").strip() or "unknown"
        return f'an error on the server ("{said}") has prevented the request from succeeding'
    return f"the server responded with the status code {code} but did not return more information"
