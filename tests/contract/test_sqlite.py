"""The file: its owner, its format, no room left, damage. Each refusal is one line that says what to do."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from apiserver.storage.interface import StorageError, StorageFull, StorageUnavailable
from apiserver.storage.sqlite import SqliteStorage


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db" / "store.db"


async def write_some(path: Path, count: int = 20) -> int:
    storage = SqliteStorage(path)
    await storage.start()
    for n in range(count):
        revision = await storage.create(f"/registry/x/{n}", b"{}")
    await storage.close()
    return revision


async def refusal(path: Path) -> str:
    storage = SqliteStorage(path)
    with pytest.raises(StorageError) as error:
        await storage.start()
    await storage.close()
    assert "\n" not in str(error.value)
    return str(error.value)


async def test_one_process_at_a_time(path: Path) -> None:
    await write_some(path)
    holder = subprocess.Popen(
        [sys.executable, "-c", "import asyncio,sys\nfrom apiserver.storage.sqlite import SqliteStorage\n"
         "async def main():\n s=SqliteStorage(sys.argv[1]); await s.start(); print('open',flush=True)\n"
         " await asyncio.sleep(60)\nasyncio.run(main())", str(path)],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
    )
    assert holder.stdout is not None
    with holder:
        assert holder.stdout.readline() == "open\n"
        assert f"in use by process {holder.pid}" in await refusal(path)
        holder.kill()
    await write_some_more(path)


async def write_some_more(path: Path) -> None:
    storage = SqliteStorage(path)
    await storage.start()
    await storage.create("/registry/x/more", b"{}")
    await storage.close()


async def test_a_file_of_something_else_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database at all" * 500)
    assert "damaged" in await refusal(path)
    assert path.read_bytes().startswith(b"not a database")


async def test_a_database_of_another_program_is_refused(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    assert "another program" in await refusal(path)


async def test_a_newer_format_is_refused(path: Path) -> None:
    await write_some(path)
    with sqlite3.connect(path) as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    assert "has format 99" in await refusal(path)


async def test_a_counter_behind_its_history_is_refused(path: Path) -> None:
    await write_some(path)
    with sqlite3.connect(path) as rolled_back:
        rolled_back.execute("UPDATE meta SET value = 3 WHERE name = 'revision'")
    rolled_back.close()
    assert "damaged" in await refusal(path)


async def test_a_damaged_page_is_found_after_an_unclean_end(path: Path) -> None:
    await write_some(path, 400)
    with sqlite3.connect(path) as unclean:
        unclean.execute("UPDATE meta SET value = 0 WHERE name = 'clean'")
    unclean.close()
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 4096] = os.urandom(4096)
    path.write_bytes(data)
    assert "damaged" in await refusal(path)


async def test_the_file_is_private(path: Path) -> None:
    await write_some(path)
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


async def test_a_closed_store_says_so(path: Path) -> None:
    storage = SqliteStorage(path)
    await storage.start()
    await storage.close()
    with pytest.raises(StorageUnavailable, match="is closed"):
        await storage.create("/registry/x/a", b"1")
    with pytest.raises(StorageUnavailable, match="is closed"):
        await storage.get("/registry/x/a")


async def test_a_quota_is_full_and_compaction_makes_room(path: Path) -> None:
    storage = SqliteStorage(path, quota_bytes=1 << 20)
    await storage.start()
    value = b'"' + b"x" * 20_000 + b'"'
    revision = await storage.create("/registry/x/a", value)

    async def fill() -> None:
        nonlocal revision
        for _ in range(200):
            revision = await storage.update("/registry/x/a", value, expected_revision=revision)

    with pytest.raises(StorageFull):
        await fill()
    assert await storage.current_revision() == revision
    stored = await storage.get("/registry/x/a")
    assert stored is not None
    assert stored.revision == revision
    await storage.compact(revision)
    after = await storage.update("/registry/x/a", value, expected_revision=revision)
    assert after == revision + 1
    await storage.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 3 MB."""
    if os.geteuid() != 0:
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail("mounting needs root")
        pytest.skip("mounting needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "nv-storage-test", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.root
async def test_a_full_disk_refuses_writes_until_there_is_room(small_disk: Path) -> None:
    path = small_disk / "db" / "store.db"
    ballast = small_disk / "ballast"
    storage = SqliteStorage(path)
    await storage.start()
    revision = await storage.create("/registry/x/a", b"1")
    ballast.write_bytes(b"x" * (2 << 20))
    value = b"x" * 50_000

    async def fill() -> None:
        nonlocal revision
        for n in range(200):
            revision = await storage.create(f"/registry/x/big{n}", value)

    with pytest.raises(StorageFull, match="no space left"):
        await fill()
    assert await storage.current_revision() == revision
    assert (await storage.list("/registry/x/")).revision == revision
    ballast.unlink()
    after = await storage.create("/registry/x/after", value)
    assert after == revision + 1
    await storage.close()
    storage = SqliteStorage(path)
    await storage.start()
    assert await storage.current_revision() == after
    await storage.close()


async def test_compaction_removes_rows_in_small_steps(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apiserver.storage.sqlite.SWEEP_REVISIONS", 7)
    storage = SqliteStorage(path)
    await storage.start()
    revision = await storage.create("/registry/x/a", b"0")
    for n in range(50):
        revision = await storage.update("/registry/x/a", b"%d" % n, expected_revision=revision)
        await storage.create(f"/registry/x/gone{n}", b"1")
        _, last = await storage.delete(f"/registry/x/gone{n}")
    await storage.compact(last)
    await storage.close()
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT key, revision FROM history").fetchall() == [("/registry/x/a", revision)]
    db.close()


async def test_commits_do_not_wait_long_for_a_busy_loop(path: Path) -> None:
    """The patience for the interpreter lock must be shorter than a turn of the loop (see SWITCH_SECONDS)."""
    sys.setswitchinterval(0.005)
    await write_some(path, 1)
    assert sys.getswitchinterval() < 50e-6
