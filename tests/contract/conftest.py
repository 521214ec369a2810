"""Engines for the storage contract: memory, SQLite in a temporary file, and a real etcd on a free loopback port.

etcd is started once per test session and every test works under a prefix of its own. Where it is missing the tests
skip, except in CI: there a missing engine is a failure.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from apiserver.storage.cacher import Cacher
from apiserver.storage.interface import Storage
from apiserver.storage.memory import MemoryStorage
from apiserver.storage.sqlite import SqliteStorage
from tests.contract.pods import Pods, new_cacher

ENGINES = ("memory", "sqlite", "etcd")
MakeStorage = Callable[..., Awaitable[Any]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class EtcdProcess:
    """One member with its data in ``folder``; can be killed and started again."""

    def __init__(self, folder: Path, *, extra: tuple[str, ...] = (), scheme: str = "http") -> None:
        self.folder = folder
        self.extra = extra
        self.url = f"{scheme}://127.0.0.1:{free_port()}"
        self._peer = f"http://127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                ["etcd", "--data-dir", str(self.folder / "data"), "--listen-client-urls", self.url,
                 "--advertise-client-urls", self.url, "--listen-peer-urls", self._peer,
                 "--initial-advertise-peer-urls", self._peer, "--initial-cluster", f"default={self._peer}",
                 "--heartbeat-interval", "20", "--election-timeout", "200", *self.extra],
                stdout=log, stderr=log,
            )
        port = int(self.url.rpartition(":")[2])
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if b"ready to serve client requests" in (self.folder / "log").read_bytes()[-4000:]:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        return
            time.sleep(0.03)
        raise RuntimeError((self.folder / "log").read_text()[-2000:])

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            (self.folder / "log").write_bytes(b"")


def require_etcd() -> None:
    if shutil.which("etcd") is None:
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail("the etcd binary is missing (package etcd-server)")
        pytest.skip("the etcd binary is missing (package etcd-server)")


@pytest.fixture(scope="session")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdProcess]:
    require_etcd()
    process = EtcdProcess(tmp_path_factory.mktemp("etcd"))
    process.start()
    yield process
    process.kill()


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.etcd if name == "etcd" else ()) for name in ENGINES])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def make_storage(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[MakeStorage]:
    """Opens the engine on the same data each time it is called; options are the engine's."""
    opened: list[Storage] = []

    async def make(**options: Any) -> Storage:
        storage: Storage
        if engine == "memory":
            storage = MemoryStorage(**options)
        elif engine == "sqlite":
            storage = SqliteStorage(tmp_path / "db" / "store.db", **options)
        else:
            from apiserver.storage.etcd import EtcdStorage

            storage = EtcdStorage([request.getfixturevalue("etcd").url], **options)
        await storage.start()
        opened.append(storage)
        return storage

    yield make
    for storage in opened:
        await storage.close()


@pytest.fixture
async def storage(make_storage: MakeStorage) -> Storage:
    made: Storage = await make_storage()
    return made


@pytest.fixture
def prefix() -> str:
    """A folder of the test's own, so that tests can share an etcd."""
    return f"/registry/{uuid.uuid4().hex[:12]}/"


@pytest.fixture
async def cacher(storage: Storage, prefix: str) -> AsyncIterator[Cacher]:
    made = new_cacher(storage, prefix)
    await made.start()
    yield made
    await made.close()


@pytest.fixture
def pods(storage: Storage, prefix: str) -> Pods:
    return Pods(storage, prefix)
