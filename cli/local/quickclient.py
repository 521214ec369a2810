"""A small blocking API client for the moments when every millisecond of start-up counts.

`up`, `down` and `status` ask a handful of questions while the processors are busy starting a cluster. Importing the
asynchronous client library would cost more than all their requests together, so they use the standard library's HTTP
client over one kept connection. Everything else goes through `machinery.client`.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from cli.local.quicktls import client_tls
from machinery.meta.errors import ApiError

#: The supervisor holds the listening socket: a connection waits in it until the server is there. Giving up early would
#: leave the server a queue of dead ones to greet first.
PATIENCE_SECONDS = 5.0


class Unreachable(ConnectionError):
    pass


class QuickClient:
    def __init__(self, kubeconfig: Path, timeout_seconds: float = 10.0) -> None:
        config = yaml.load(kubeconfig.read_bytes(), Loader=yaml.CSafeLoader)
        cluster = config["clusters"][0]["cluster"]
        url = urlsplit(cluster["server"])
        self.server: str = cluster["server"]
        self._address = (url.hostname or "127.0.0.1", url.port or 443)
        self._timeout = timeout_seconds
        self._tls = client_tls(cluster, config["users"][0]["user"])
        self._connection: http.client.HTTPSConnection | None = None

    def get(self, path: str, *, timeout_seconds: float | None = None) -> Any:
        return self.request("GET", path, timeout_seconds=timeout_seconds)

    def request(
        self, method: str, path: str, body: Any = None, *, content_type: str = "application/json",
        timeout_seconds: float | None = None,
    ) -> Any:  # fmt: skip
        """The answer's JSON (or text); ApiError for a refusal; Unreachable when nobody answers."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Accept": "application/json", "User-Agent": "navarch-cli"}
        if data is not None:
            headers["Content-Type"] = content_type
        try:
            response = self._send(method, path, data, headers, timeout_seconds or self._timeout)
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unreachable(f"{self.server} does not answer: {error or type(error).__name__}") from error
        return _decode(response.status, content)

    def _send(
        self, method: str, path: str, data: bytes | None, headers: dict[str, str], timeout: float
    ) -> http.client.HTTPResponse:
        if self._connection is None:
            host, port = self._address
            self._connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=self._tls)
        connection = self._connection
        connection.timeout = timeout
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        connection.request(method, path, data, headers)
        return connection.getresponse()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def wait_ready(self, deadline: float, check: Callable[[], None] = lambda: None) -> None:
        """Until `/readyz` says ok."""
        self.keep_trying(lambda: self.get("/readyz", timeout_seconds=PATIENCE_SECONDS), deadline, check)

    def keep_trying(
        self, act: Callable[[], Any], deadline: float, check: Callable[[], None] = lambda: None
    ) -> None:
        """Until ``act`` succeeds. ``check`` is called between tries and may raise to end the wait early."""
        while True:
            try:
                act()
                return
            except (Unreachable, ApiError) as error:
                if time.monotonic() >= deadline:
                    raise Unreachable(f"the API server is not ready: {error}") from error
            check()
            time.sleep(0.03)


def _decode(status: int, content: bytes) -> Any:
    try:
        decoded = json.loads(content)
    except ValueError:
        decoded = content.decode(errors="replace")
    if status < 400:
        return decoded
    if isinstance(decoded, dict) and decoded.get("kind") == "Status":
        raise ApiError.from_status(decoded)
    raise ApiError(status, "Unknown", str(decoded).strip() or f"HTTP {status}", None)
