"""Snapshots of a server that is being written to, and the same cluster from one of them in another place."""

from __future__ import annotations

import json
import os
import ssl
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from cli.main import run_to_exit_code
from tests.support.processes import ControlPlane

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
pytestmark = pytest.mark.timeout(120)


def call(plane: ControlPlane, method: str, path: str, body: Any = None) -> dict[str, Any]:
    context = ssl.create_default_context(cafile=str(plane.home / "pki" / "ca.crt"))
    request = urllib.request.Request(
        plane.url + path, method=method, data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {plane.token}", "Content-Type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(request, context=context, timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def create(plane: ControlPlane, name: str) -> int:
    made = call(plane, "POST", CONFIGMAPS, {"metadata": {"name": name}, "data": {"v": name}})
    return int(made["metadata"]["resourceVersion"])


def objects(plane: ControlPlane, prefix: str) -> dict[str, Any]:
    listed = call(plane, "GET", CONFIGMAPS)["items"]
    return {item["metadata"]["name"]: item for item in listed if item["metadata"]["name"].startswith(prefix)}


class Writer(threading.Thread):
    """Creates one object after the other until it is stopped."""

    def __init__(self, plane: ControlPlane) -> None:
        super().__init__(daemon=True)
        self.plane = plane
        self.stopping = threading.Event()
        self.acknowledged: list[int] = []  # revision of the n-th

    def run(self) -> None:
        while not self.stopping.is_set():
            self.acknowledged.append(create(self.plane, f"busy-{len(self.acknowledged):05}"))


def test_a_snapshot_under_writes_is_one_state_and_comes_back_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    old, new = ControlPlane(tmp_path / "old", store="sqlite"), ControlPlane(tmp_path / "new", store="sqlite")
    try:
        old.start_apiserver()
        for number in range(20):
            create(old, f"kept-{number}")
        before = objects(old, "kept-")
        writer = Writer(old)
        writer.start()
        while len(writer.acknowledged) < 20:
            assert writer.is_alive()
        saved_from = len(writer.acknowledged)
        assert run_to_exit_code(["snapshot", "save", "--home", str(old.home), "-o", "json"]) == 0
        saved = json.loads(capsys.readouterr().out)
        saved_upto = len(writer.acknowledged)
        writer.stopping.set()
        writer.join(20)
        create(old, "after-1")
        newest = create(old, "after-2")

        assert run_to_exit_code(["snapshot", "restore", saved["path"], "--home", str(old.home)]) == 1
        refusal = capsys.readouterr().err
        assert f"is in use by process {old.processes['apiserver'].child.pid}: stop the server first" in refusal
        assert refusal.count("\n") == 1

        old.processes["apiserver"].kill()
        assert os.stat(saved["path"]).st_mode & 0o777 == 0o600
        assert run_to_exit_code(["snapshot", "restore", saved["path"], "--home", str(new.home)]) == 0
        authority = (new.home / "pki" / "ca.crt").read_bytes()
        assert authority == (old.home / "pki" / "ca.crt").read_bytes()
        new.start_apiserver()
        assert (new.home / "pki" / "ca.crt").read_bytes() == authority

        assert objects(new, "kept-") == before  # with uid, managedFields and resourceVersion
        assert objects(new, "after-") == {}
        # One state: what was acknowledged before is there, what is there has no holes, nothing came later.
        busy = sorted(objects(new, "busy-"))
        assert busy == [f"busy-{number:05}" for number in range(len(busy))]
        assert saved_from <= len(busy) <= saved_upto + 1
        assert all(revision <= saved["revision"] for revision in writer.acknowledged[: len(busy)])
        assert create(new, "next") > newest

        with pytest.raises(urllib.error.HTTPError) as gone:  # a client of the old server starts over
            call(new, "GET", f"{CONFIGMAPS}?resourceVersion={newest}&resourceVersionMatch=Exact&limit=1")
        assert gone.value.code == 410
    finally:
        old.stop()
        new.stop()


def test_restoring_over_a_stopped_home_keeps_the_old_data_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plane = ControlPlane(tmp_path, store="sqlite")
    try:
        plane.start_apiserver()
        create(plane, "first")
        assert run_to_exit_code(["snapshot", "save", "--home", str(plane.home)]) == 0
        create(plane, "second")
        plane.processes["apiserver"].stop()
        (snapshot,) = (plane.home / "snapshots").iterdir()
        capsys.readouterr()
        assert run_to_exit_code(
            ["snapshot", "restore", snapshot.name, "--home", str(plane.home), "-o", "json"]
        ) == 0  # fmt: skip
        aside = Path(json.loads(capsys.readouterr().out)["aside"])
        assert (aside / "kubeconfig" / "admin.kubeconfig").exists()
        plane.start_apiserver()
        assert "first" in objects(plane, "")
        assert "second" not in objects(plane, "")
        key = "/registry/configmaps/default/second"
        assert run_to_exit_code(["store", "get", key, "--file", str(aside / "db" / "navarch.db")]) == 0
    finally:
        plane.stop()
