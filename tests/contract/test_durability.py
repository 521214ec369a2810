"""What was acknowledged survives: restarts, kill -9 of the writing process, kill -9 of etcd."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from apiserver.storage import open_storage
from apiserver.storage.interface import Compacted, Storage, StorageUnavailable
from tests.contract.collect import take
from tests.contract.conftest import EtcdProcess, require_etcd

WRITER = """
import asyncio, sys
from apiserver.storage import open_storage

async def work(storage, prefix, worker):
    revision = n = 0
    while True:
        n += 1
        key = f"{prefix}{worker}-{n // 3}"
        if n % 3 == 0:
            revision = await storage.create(key, b"%d" % n)
        elif n % 3 == 1 and revision:
            revision = await storage.update(key, b"%d" % n, expected_revision=revision)
        elif revision and worker % 2:
            _, revision = await storage.delete(key, expected_revision=revision)
            print(key, "-", revision, flush=True)
            continue
        else:
            continue
        print(key, n, revision, flush=True)

async def main():
    storage = open_storage(sys.argv[1])
    await storage.start()
    await asyncio.gather(*(work(storage, sys.argv[2], worker) for worker in range(8)))

asyncio.run(main())
"""


@pytest.fixture(params=["sqlite", pytest.param("etcd", marks=pytest.mark.etcd)])
def durable(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """What open_storage is told."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path}/db/store.db"
    return str(request.getfixturevalue("etcd").url)


async def opened(where: str) -> Storage:
    storage = open_storage(where)
    await storage.start()
    return storage


async def test_a_restart_keeps_values_history_and_counter(durable: str, prefix: str) -> None:
    storage = await opened(durable)
    first = await storage.create(prefix + "a", b"1")
    second = await storage.update(prefix + "a", b"2", expected_revision=first)
    await storage.create(prefix + "gone", b"1")
    _, last = await storage.delete(prefix + "gone")
    await storage.close()

    storage = await opened(durable)
    assert await storage.current_revision() >= last
    stored = await storage.get(prefix + "a")
    assert stored is not None
    assert (stored.value, stored.revision) == (b"2", second)
    old = await storage.get(prefix + "a", revision=first)
    assert old is not None
    assert old.value == b"1"
    events = await take(storage.watch(prefix, revision=first), 3)
    assert [event.type for event in events] == ["update", "create", "delete"]
    assert await storage.create(prefix + "b", b"1") > last
    await storage.close()


async def test_a_restart_never_reuses_a_revision_that_was_compacted_away(durable: str, prefix: str) -> None:
    storage = await opened(durable)
    await storage.create(prefix + "a", b"1")
    _, last = await storage.delete(prefix + "a")
    await storage.compact(last)
    await storage.close()
    storage = await opened(durable)
    assert await storage.create(prefix + "a", b"2") > last
    with pytest.raises(Compacted):
        await storage.get(prefix + "a", revision=last - 1)
    await storage.close()


async def test_a_time_to_live_ends_across_a_restart(durable: str, prefix: str) -> None:
    storage = await opened(durable)
    revision = await storage.create(prefix + "a", b"1", ttl_seconds=1)
    await storage.close()
    storage = await opened(durable)
    (event,) = await take(storage.watch(prefix, revision=revision), 1)
    assert event.type == "delete"
    await storage.close()


async def test_kill_9_of_the_writer_loses_nothing_acknowledged(durable: str, prefix: str) -> None:
    """Three times: a process writes as fast as it can and is killed; then every line that it printed must be true."""
    for round_ in range(3):
        folder = f"{prefix}{round_}/"
        written = await asyncio.to_thread(write_and_kill, durable, folder, 60 + 90 * round_)
        expected = {}
        for key, value, revision in written:
            expected[key] = (value, revision)
        storage = await opened(durable)
        listed = await storage.list(folder)
        assert await storage.current_revision() >= max(revision for _, _, revision in written)
        there = {item.key: (item.value.decode(), item.revision) for item in listed.items}
        for key, (value, revision) in expected.items():
            found = there.get(key)
            if found is not None and found[1] > revision:
                continue  # one more write was committed, but not yet printed
            if value == "-":
                assert found is None, key
            elif found is None:
                after = await take(storage.watch(key, revision=revision), 1)
                assert after[0].type == "delete", f"{key} was acknowledged at {revision} and is gone"
            else:
                assert found == (value, revision)
        await storage.close()


def write_and_kill(where: str, prefix: str, lines: int) -> list[tuple[str, str, int]]:
    """Runs the writer until it has acknowledged so many writes; gives what it acknowledged."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, where, prefix], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as process:
        assert process.stdout is not None
        printed = [process.stdout.readline() for _ in range(lines)]
        os.kill(process.pid, signal.SIGKILL)
        printed += process.stdout.read().splitlines()
    found = [tuple(line.split()) for line in printed if len(line.split()) == 3]
    assert len(found) >= lines - 1
    return [(key, value, int(revision)) for key, value, revision in found]


# etcd itself dies


@pytest.fixture
async def own_etcd(tmp_path: Path) -> AsyncIterator[EtcdProcess]:
    require_etcd()
    process = EtcdProcess(tmp_path / "etcd")
    process.start()
    yield process
    process.kill()


@pytest.mark.etcd
async def test_kill_9_of_etcd_loses_nothing_and_the_watch_goes_on(own_etcd: EtcdProcess, prefix: str) -> None:
    storage = await opened(own_etcd.url)
    stream = storage.watch(prefix, revision=await storage.current_revision())
    acknowledged: dict[str, int] = {}
    refused: list[Any] = []

    async def write(worker: int) -> None:
        for n in range(10_000):
            key = f"{prefix}{worker}/{n}"
            try:
                acknowledged[key] = await storage.create(key, b"1")
            except StorageUnavailable as error:
                refused.append(error)
                return

    writers = [asyncio.create_task(write(worker)) for worker in range(8)]
    await asyncio.sleep(0.3)
    assert len(acknowledged) > 20
    await asyncio.to_thread(own_etcd.kill)
    await asyncio.gather(*writers)
    assert len(refused) == 8
    await asyncio.to_thread(own_etcd.start)
    for _ in range(200):
        try:
            listed = await storage.list(prefix)
            break
        except StorageUnavailable:
            await asyncio.sleep(0.05)
    there = {item.key: item.revision for item in listed.items}
    assert {key: there.get(key) for key in acknowledged} == acknowledged
    last = await storage.create(prefix + "end", b"1")
    events = await take(stream, len(there) + 1)
    assert [(event.key, event.revision) for event in events] == [
        *sorted(there.items(), key=lambda item: item[1]), (prefix + "end", last)
    ]
    await storage.close()


@pytest.mark.etcd
async def test_an_etcd_that_is_not_there_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apiserver.storage.etcd.START_SECONDS", 0.1)
    storage = open_storage("http://127.0.0.1:1")
    with pytest.raises(StorageUnavailable, match=r"127\.0\.0\.1:1"):
        await storage.start()
    await storage.close()
