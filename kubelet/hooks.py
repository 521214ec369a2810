"""Life-cycle hooks: postStart, preStop. They reuse the probes' ways to run a command or ask by HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp

from kubelet.cri import CriError
from kubelet.probes.handlers import Target, headers_of, http_get, http_url

HTTP_TIMEOUT_SECONDS = 30.0


async def run_hook(target: Target, action: dict[str, Any]) -> str | None:
    """None on success, else what went wrong."""
    if action.get("sleep"):
        await asyncio.sleep(float(action["sleep"].get("seconds") or 0))
        return None
    if action.get("exec"):
        return await _exec(target, list(action["exec"].get("command") or ()))
    if action.get("httpGet"):
        return await _http(target, action["httpGet"])
    return None


async def _exec(target: Target, command: list[str]) -> str | None:
    try:
        answer = await target.runtime.exec_sync(target.container_id, command)
    except CriError as error:
        return str(error)
    if answer.exit_code == 0:
        return None
    output = (answer.stdout + answer.stderr).decode(errors="replace")
    return f"command '{' '.join(command)}' exited with {answer.exit_code}: {output}"


async def _http(target: Target, action: dict[str, Any]) -> str | None:
    """A hook's HTTPS may be answered in the clear: many servers only speak that on the port they name."""
    try:
        try:
            await http_get(http_url(target, action), headers_of(action), HTTP_TIMEOUT_SECONDS)
        except aiohttp.ClientSSLError:
            plain = {**action, "scheme": "HTTP"}
            await http_get(http_url(target, plain), headers_of(action), HTTP_TIMEOUT_SECONDS)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        return str(error) or type(error).__name__
    return None
