"""Archives that are not what they say, prune, and homes that are left alone."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import tarfile
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from apiserver.storage.snapshots.archive import Manifest, Member, SnapshotError, unpack
from apiserver.storage.snapshots.restore import restore
from apiserver.storage.snapshots.save import Snapshot, list_snapshots, prune, save
from apiserver.storage.sqlite import SqliteStorage
from cli.main import run_to_exit_code

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    async def fill() -> None:
        storage = SqliteStorage(tmp_path / "home" / "db" / "navarch.db")
        await storage.start()
        await storage.create("/registry/configmaps/default/a", b"{}")
        await storage.close()

    asyncio.run(fill())
    (tmp_path / "home" / "pki" / "etc").mkdir(parents=True)
    (tmp_path / "home" / "pki" / "etc" / "ca.key").write_text("secret")
    return tmp_path / "home"


def save_at(home: Path, now: datetime = NOW) -> Snapshot:
    return save(home, home / "snapshots", cluster="c", version="1", now=now)


def files(home: Path) -> dict[str, bytes]:
    return {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def craft(path: Path, manifest: Manifest, members: list[tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        head = json.dumps(asdict(manifest)).encode()
        entry = tarfile.TarInfo("manifest.json")
        entry.size = len(head)
        archive.addfile(entry, io.BytesIO(head))
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def test_saved_files_come_back_private_and_the_rest_is_left_out(home: Path, tmp_path: Path) -> None:
    (home / "log").mkdir()
    (home / "log" / "apiserver.log").write_text("talk")
    saved = save_at(home)
    assert saved.path.name == "c-20260102T030405Z.tar.gz"
    done = restore(saved.path, tmp_path / "other", NOW)
    assert sorted(files(tmp_path / "other")) == ["db/navarch.db", "db/navarch.db.lock", "pki/etc/ca.key"]
    assert (tmp_path / "other" / "pki" / "etc" / "ca.key").stat().st_mode & 0o777 == 0o600
    assert (done.revision, done.aside) == (1_000_000_002, None)


@pytest.mark.parametrize("damage", ["flip", "cut", "foreign", "text"])
def test_a_damaged_archive_changes_nothing(home: Path, damage: str) -> None:
    path = save_at(home).path
    content = path.read_bytes()
    if damage == "flip":  # inside the database: gzip's own sum is made right again, so only ours can tell
        inner = gzip.decompress(content)
        place = inner.index(b"SQLite format 3") + 4200
        content = gzip.compress(inner[:place] + bytes([inner[place] ^ 1]) + inner[place + 1 :])
    elif damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "foreign":
        content = gzip.compress(b"\0" * 10240)
    else:
        content = b"not at all"
    path.write_bytes(content)
    before = files(home)
    with pytest.raises(SnapshotError, match=r"damaged|no snapshot"):
        restore(path, home, NOW)
    assert files(home) == before


@pytest.mark.parametrize("name", ["../outside", "/outside", "pki/../../outside"])
def test_names_outside_of_the_home_are_refused(name: str, tmp_path: Path) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = 1
    path = craft(tmp_path / "s.tar.gz", Manifest("", "c", 1, "1", {name: Member(1, "0")}), [entry])
    (tmp_path / "in").mkdir()
    with pytest.raises(SnapshotError, match="outside of a home"):
        unpack(path, tmp_path / "in")
    assert not (tmp_path / "outside").exists()


def test_links_and_unnamed_members_are_refused(tmp_path: Path) -> None:
    link = tarfile.TarInfo("pki/ca.key")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/shadow"
    (tmp_path / "in").mkdir()
    for files_named in ({"pki/ca.key": Member(0, "0")}, {}):
        path = craft(tmp_path / "s.tar.gz", Manifest("", "c", 1, "1", files_named), [link])
        with pytest.raises(SnapshotError, match="does not name"):
            unpack(path, tmp_path / "in")


def test_prune_keeps_the_newest_and_what_it_cannot_read(home: Path) -> None:
    saved = [save_at(home, NOW + timedelta(hours=hour)) for hour in range(4)]
    bad = home / "snapshots" / "bad.tar.gz"
    bad.write_bytes(b"?")
    assert [one.path for one in prune(home / "snapshots", 2)] == [saved[1].path, saved[0].path]
    left = list_snapshots(home / "snapshots")
    assert {one.path for one in left} == {saved[3].path, saved[2].path, bad}
    assert [one.path for one in left if one.manifest] == [saved[3].path, saved[2].path]
    assert [bool(one.problem) for one in left].count(True) == 1


def test_two_snapshots_of_one_second_are_two_files(home: Path) -> None:
    assert save_at(home).path != save_at(home).path
    assert [path.name for path in (home / "snapshots").glob(".*")] == []


def test_a_home_without_a_database_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_to_exit_code(["snapshot", "save", "--home", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"navarch: there is no database in {tmp_path}/db")
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_list_shows_ages_and_sizes(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_to_exit_code(["snapshot", "list", "--home", str(home)]) == 0
    assert capsys.readouterr().err == f"There are no snapshots in {home}/snapshots.\n"
    save_at(home, datetime.now(UTC) - timedelta(hours=3))
    assert run_to_exit_code(["snapshot", "list", "--home", str(home)]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["NAME", "AGE", "SIZE", "REVISION"]
    assert row.split()[1:2] + row.split()[-1:] == ["3h", "2"]
