"""One probe of each kind: did it succeed, and what did it say."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from kubelet.cri import CriError, Runtime
from kubelet.cri.health import check_health
from kubelet.podspec import ContainerSpec

USER_AGENT = "kube-probe/1.36"
MAX_OUTPUT = 10 * 1024


@dataclass(frozen=True, slots=True)
class Result:
    success: bool
    output: str = ""


class Target:
    """Where probes and hooks of one container go."""

    def __init__(self, runtime: Runtime, container_id: str, spec: ContainerSpec, address: str) -> None:
        self.runtime, self.container_id, self.spec, self.address = runtime, container_id, spec, address

    def port(self, value: int | str) -> int:
        """A number, or a port of the container by name. Raises ValueError."""
        if isinstance(value, int):
            return value
        for port in self.spec.get("ports") or ():
            if port.get("name") == value:
                return int(port["containerPort"])
        if str(value).isdigit():
            return int(value)
        raise ValueError(f"couldn't find port: {value}")


async def probe_exec(target: Target, command: list[str], timeout: float) -> Result:
    try:
        answer = await target.runtime.exec_sync(target.container_id, command, timeout)
    except CriError as error:
        if error.is_deadline_exceeded or "timeout" in error.message or "timed out" in error.message:
            words = '"' + " ".join(command) + '"'
            return Result(False, f"command timed out: {words} timed out after {_go_seconds(timeout)}")
        return Result(False, str(error))
    output = (answer.stdout + answer.stderr)[:MAX_OUTPUT].decode(errors="replace")
    return Result(answer.exit_code == 0, output)


async def probe_http(target: Target, action: Mapping[str, Any], timeout: float) -> Result:
    try:
        url = http_url(target, action)
        status, body, location = await http_get(url, headers_of(action), timeout)
    except ValueError as error:
        return Result(False, str(error))
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return Result(False, f'Get "{http_url(target, action)}": {http_error(error, target, action)}')
    if location is not None:
        return Result(True, f"Probe terminated redirects, Response body: {body}")
    if 200 <= status < 400:
        return Result(True, body)
    return Result(False, f"HTTP probe failed with statuscode: {status}")


def http_url(target: Target, action: Mapping[str, Any]) -> str:
    scheme = (action.get("scheme") or "HTTP").lower()
    host = action.get("host") or target.address
    path = action.get("path") or ""
    if not path.startswith("/"):
        path = "/" + path
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{target.port(action['port'])}{path}"


def headers_of(action: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The action's own, and the agent's name unless it brings one. An empty value takes a default away."""
    own = [(header["name"], header.get("value") or "") for header in action.get("httpHeaders") or ()]
    named = {name.lower() for name, _ in own}
    found = [] if "user-agent" in named else [("User-Agent", USER_AGENT)]
    found += [] if "accept" in named else [("Accept", "*/*")]
    return found + [(name, value) for name, value in own if value or name.lower() not in ("user-agent", "accept")]


async def http_get(url: str, headers: list[tuple[str, str]], timeout: float) -> tuple[int, str, str | None]:
    """(status, body, foreign location). Redirects within the host are followed, one to another host is reported."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connector = aiohttp.TCPConnector(ssl=context, force_close=True)
    async with aiohttp.ClientSession(
        connector=connector, timeout=aiohttp.ClientTimeout(total=timeout), cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
    ) as session:  # fmt: skip
        current = URL(url, encoded=True)
        for _ in range(10):
            async with session.get(current, headers=headers, allow_redirects=False) as answer:
                body = (await answer.content.read(MAX_OUTPUT)).decode(errors="replace")
                location = answer.headers.get("Location")
                if answer.status not in (301, 302, 303, 307, 308) or not location:
                    return answer.status, body, None
                following = current.join(URL(location))
                if following.host != URL(url).host:
                    return answer.status, body, str(following)
                current = following
    raise aiohttp.ClientError("stopped after 10 redirects")


def http_error(error: BaseException, target: Target, action: Mapping[str, Any]) -> str:
    """The words of the ecosystem for a connection that failed."""
    parts = urlsplit(http_url(target, action))
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, OSError):
        return dial_error(parts.netloc, error.os_error)
    if isinstance(error, TimeoutError):
        return "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "EOF"
    return str(error) or type(error).__name__


def dial_error(where: str, error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"dial tcp {where}: i/o timeout"
    words = {111: "connection refused", 113: "no route to host", 101: "network is unreachable",
             104: "connection reset by peer"}  # fmt: skip
    number = getattr(error, "errno", None)
    return f"dial tcp {where}: connect: {words.get(number or 0, str(error))}"


async def probe_tcp(target: Target, action: Mapping[str, Any], timeout: float) -> Result:
    try:
        port = target.port(action["port"])
    except ValueError as error:
        return Result(False, str(error))
    host = action.get("host") or target.address
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError) as error:
        return Result(False, dial_error(where, error))
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return Result(True)


async def probe_grpc(target: Target, action: Mapping[str, Any], timeout: float) -> Result:
    host = f"[{target.address}]" if ":" in target.address else target.address
    problem = await check_health(f"{host}:{int(action['port'])}", action.get("service") or "", timeout)
    return Result(problem is None, problem or "service healthy")


async def run_probe(target: Target, probe: Mapping[str, Any]) -> Result:
    timeout = float(probe.get("timeoutSeconds") or 1)
    if probe.get("exec"):
        return await probe_exec(target, list(probe["exec"].get("command") or ()), timeout)
    if probe.get("httpGet"):
        return await probe_http(target, probe["httpGet"], timeout)
    if probe.get("tcpSocket"):
        return await probe_tcp(target, probe["tcpSocket"], timeout)
    if probe.get("grpc"):
        return await probe_grpc(target, probe["grpc"], timeout)
    return Result(True)


def _go_seconds(seconds: float) -> str:
    return f"{seconds:g}s"
