"""`navarch store` on a real database, mostly while its owner has it open."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from apiserver.storage.sqlite import SqliteStorage
from cli.main import run_to_exit_code

KEY = "/registry/configmaps/default/a"


def body(value: str) -> bytes:
    meta = {"name": "a", "namespace": "default", "uid": "u1",
            "managedFields": [{"manager": "kubectl", "operation": "Update", "apiVersion": "v1", "time": f"T{value}"}]}  # fmt: skip
    return orjson.dumps({"kind": "ConfigMap", "apiVersion": "v1", "metadata": meta, "data": {"v": value}})


def with_open_store(path: Path, look: Callable[[], None]) -> None:
    """Three writes; then ``look`` runs on a thread while the engine has the file open."""

    async def run() -> None:
        storage = SqliteStorage(path)
        await storage.start()
        try:
            first = await storage.create(KEY, body("1"))
            second = await storage.update(KEY, body("2"), expected_revision=first)
            await storage.update(KEY, body("3"), expected_revision=second)
            await asyncio.to_thread(look)
        finally:
            await storage.close()

    asyncio.run(run())


def test_reading_commands_work_beside_the_owner(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "navarch.db"

    def look() -> None:
        assert run_to_exit_code(["store", "status", "--file", str(path), "-o", "json"]) == 0
        status = json.loads(capsys.readouterr().out)
        assert (status["revision"], status["owner"], status["versions"]) == (4, os.getpid(), 3)
        assert [(kind["resource"], kind["count"]) for kind in status["kinds"]] == [("configmaps", 1)]

        assert run_to_exit_code(["store", "status", "--file", str(path)]) == 0
        assert f"open in   process {os.getpid()}\n" in capsys.readouterr().out

        assert run_to_exit_code(["store", "get", KEY, "--at", "3", "--file", str(path)]) == 0
        assert json.loads(capsys.readouterr().out)["data"] == {"v": "2"}

        assert run_to_exit_code(["store", "history", "cm", "a", "--file", str(path)]) == 0
        assert capsys.readouterr().out.splitlines() == [
            "2  created by kubectl",
            "3  updated by kubectl at T2", '    ~ data.v: "1" -> "2"',
            "4  updated by kubectl at T3", '    ~ data.v: "2" -> "3"',
        ]  # fmt: skip

        assert run_to_exit_code(["store", "fsck", "--file", str(path)]) == 0
        assert capsys.readouterr().out == f"0 errors, 0 warnings in {path}\n"

        assert run_to_exit_code(["store", "compact", "--file", str(path)]) == 1
        assert f"is in use by process {os.getpid()}, which compacts it" in capsys.readouterr().err

    with_open_store(path, look)


def test_compaction_forgets_history_and_the_engine_opens_the_file_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "navarch.db"
    with_open_store(path, lambda: None)
    assert run_to_exit_code(["store", "compact", "--file", str(path), "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["forgotten"] == 2
    assert run_to_exit_code(["store", "get", KEY, "--at", "3", "--file", str(path)]) == 1
    assert capsys.readouterr().err == "navarch: revision 3 compacted; oldest is 4\n"

    async def reopen() -> int:
        storage = SqliteStorage(path)
        await storage.start()
        try:
            found = await storage.get(KEY)
            assert found is not None
            return await storage.update(KEY, body("4"), expected_revision=found.revision)
        finally:
            await storage.close()

    assert asyncio.run(reopen()) == 5


def test_fsck_says_what_is_broken_and_exits_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "navarch.db"
    with_open_store(path, lambda: None)
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO current VALUES ('/registry/pods/default/lost', 3000, NULL)")
        db.execute("UPDATE history SET value = x'78' WHERE revision = 4")
    db.close()
    assert run_to_exit_code(["store", "fsck", "--file", str(path), "-o", "json"]) == 1
    found = [(finding["check"], finding["key"]) for finding in json.loads(capsys.readouterr().out)]
    assert found == [("file", str(path)), ("undecodable", KEY)]


@pytest.mark.parametrize("arguments", [["status"], ["fsck"], ["get", KEY], ["history", "pod", "a"], ["compact"]])
def test_no_store_is_one_line_and_nothing_is_made(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "none.db"
    assert run_to_exit_code(["store", *arguments, "--file", str(path)]) == 1
    assert capsys.readouterr().err == f"navarch: there is no store in {path}\n"
    assert list(tmp_path.iterdir()) == []


def test_another_programs_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE t (x)")
    db.close()
    assert run_to_exit_code(["store", "status", "--file", str(path)]) == 1
    assert capsys.readouterr().err == f"navarch: {path} is not a store that this version reads\n"
