"""A constant stream of requests, each on a connection of its own, that remembers every one that failed."""

from __future__ import annotations

import collections
import http.client
import threading
import time
from types import TracebackType


def fetch(port: int, path: str = "/", *, timeout: float = 5) -> str:
    """One request to 127.0.0.1, without keep-alive: each is a new choice of an endpoint."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        body = answer.read().decode()
        if answer.status != 200:
            raise OSError(f"status {answer.status}: {body}")
        return body.strip()
    finally:
        connection.close()


class Stream:
    """Runs in threads between `with` and its end. ``answers`` counts what was said, ``failures`` tells the rest."""

    def __init__(self, port: int, *, threads: int = 2, pause_seconds: float = 0.01) -> None:
        self.port, self.pause_seconds = port, pause_seconds
        self.answers: collections.Counter[str] = collections.Counter()
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(threads)]

    def _ask(self) -> None:
        while not self._stop.is_set():
            at = time.strftime("%H:%M:%S", time.gmtime())
            try:
                self.answers[fetch(self.port)] += 1
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{at} {error!r}")
            self._stop.wait(self.pause_seconds)

    def __enter__(self) -> Stream:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(10)

    @property
    def total(self) -> int:
        return sum(self.answers.values())
