"""Files of volumes: what they hold, and that a reader never sees half of a change."""

from __future__ import annotations

import base64
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kubelet.volumes.atomic import write_payload
from kubelet.volumes.errors import VolumeError
from kubelet.volumes.hostpath import prepare_host_path
from kubelet.volumes.payload import Item, VolumeFacts, compute_payload, referenced_objects, token_requests
from kubelet.volumes.subpath import check_sub_path, open_beneath
from tests.unit.kubelet.builders import container, pod

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def facts(**more) -> VolumeFacts:
    config_map = {"data": {"k": "v"}, "binaryData": {"b": "AAEC"}}
    secret = {"data": {"p": base64.b64encode(b"word").decode()}}
    known = {
        "config_maps": {"m": config_map, "gone": None},
        "secrets": {"s": secret, "gone": None},
        "tokens": {("", 3600): "eyJ", ("x", 600): "eyX"},
        "trust_bundles": {},
    }
    return VolumeFacts(**{**known, **more})


def payload(volume, p=None):
    return compute_payload(p or pod(), {"name": "v", **volume}, facts())


def test_config_maps_and_secrets() -> None:
    assert payload({"configMap": {"name": "m"}}) == {"k": Item(b"v"), "b": Item(b"\0\1\2")}
    items = [{"key": "p", "path": "a/q", "mode": 0o400}]
    assert payload({"secret": {"secretName": "s", "items": items, "defaultMode": 0o600}}) == {
        "a/q": Item(b"word", 0o400)
    }


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        ({"configMap": {"name": "gone"}}, 'configmap "gone" not found'),
        ({"secret": {"secretName": "gone"}}, 'secret "gone" not found'),
        (
            {"configMap": {"name": "m", "items": [{"key": "x", "path": "x"}]}},
            "configmap references non-existent config key: x",
        ),
        (
            {"secret": {"secretName": "s", "items": [{"key": "x", "path": "x"}]}},
            "references non-existent secret key: x",
        ),
    ],
)
def test_what_is_missing_fails_unless_optional(volume, message: str) -> None:
    with pytest.raises(VolumeError) as caught:
        payload(volume)
    assert caught.value.message == message
    for source in volume.values():
        source["optional"] = True
    assert payload(volume) == {}


def test_a_projection_is_one_tree() -> None:
    sources = [
        {"serviceAccountToken": {"path": "token"}},
        {"configMap": {"name": "m", "items": [{"key": "k", "path": "sub/k"}]}},
        {"downwardAPI": {"items": [{"path": "ns", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]
    volume = {"projected": {"sources": sources, "defaultMode": 0o640}}
    assert payload(volume) == {
        "token": Item(b"eyJ", 0o640),
        "sub/k": Item(b"v", 0o640),
        "ns": Item(b"ns", 0o640),
    }
    assert referenced_objects(volume) == {("configmaps", "m")}
    assert token_requests(volume) == [("", 3600)]


def test_a_token_is_private_to_the_pods_user_or_group() -> None:
    volume = {
        "projected": {"sources": [{"serviceAccountToken": {"path": "t", "audience": "x", "expirationSeconds": 600}}]}
    }
    assert payload(volume)["t"] == Item(b"eyX", 0o644)
    assert payload(volume, pod(securityContext={"runAsUser": 7}))["t"] == Item(b"eyX", 0o600, 7)
    assert payload(volume, pod(securityContext={"fsGroup": 7}))["t"].mode == 0o600
    mixed = pod(container("a", securityContext={"runAsUser": 1}), container("b"), securityContext={"runAsUser": 7})
    assert payload(volume, mixed)["t"].owner is None


def test_a_change_swaps_one_link(tmp_path: Path) -> None:
    first = {"a": Item(b"1"), "sub/b": Item(b"2", 0o600)}
    assert write_payload(tmp_path, first, NOW)
    old = os.readlink(tmp_path / "..data")
    assert (tmp_path / "a").read_bytes() == b"1"
    assert os.readlink(tmp_path / "a") == "..data/a"
    assert (tmp_path / "sub" / "b").stat().st_mode & 0o777 == 0o600
    assert not write_payload(tmp_path, first, NOW)
    assert os.readlink(tmp_path / "..data") == old
    assert write_payload(tmp_path, {"a": Item(b"3")}, NOW)
    assert (tmp_path / "a").read_bytes() == b"3"
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith("..")) == ["a"]
    assert not (tmp_path / old).exists()


def test_a_crash_before_the_swap_leaves_the_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_payload(tmp_path, {"a": Item(b"1")}, NOW)

    def power_cut(self: Path, target: object) -> None:
        raise OSError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", power_cut)
        with pytest.raises(OSError, match="power cut"):
            write_payload(tmp_path, {"a": Item(b"2")}, NOW)
    assert (tmp_path / "a").read_bytes() == b"1"
    assert write_payload(tmp_path, {"a": Item(b"2")}, NOW)
    assert (tmp_path / "a").read_bytes() == b"2"


@pytest.mark.root
def test_a_group_may_read(tmp_path: Path) -> None:
    write_payload(tmp_path, {"a": Item(b"1", 0o400)}, NOW, fs_group=1234)
    status = (tmp_path / "a").stat()
    assert (status.st_mode & 0o777, status.st_gid) == (0o440, 1234)
    assert not write_payload(tmp_path, {"a": Item(b"1", 0o400)}, NOW, fs_group=1234)


@pytest.mark.parametrize("path", ["/a", "../a", "a/../b", "..a", ""])
def test_paths_stay_inside(tmp_path: Path, path: str) -> None:
    with pytest.raises(VolumeError):
        write_payload(tmp_path, {path: Item(b"")}, NOW)


@pytest.mark.parametrize("path", ["/abs", "a/../../b"])
def test_sub_paths_stay_inside(path: str) -> None:
    with pytest.raises(VolumeError):
        check_sub_path(path)


def test_a_link_planted_on_the_way_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "evil").symlink_to("/etc")
    with pytest.raises(VolumeError, match="link"):
        open_beneath(tmp_path, Path("evil"), mode=0o750, gid=None)
    os.close(open_beneath(tmp_path, Path("new/dir"), mode=0o700, gid=None))
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_host_paths_are_what_they_are_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, made = tmp_path / "f", tmp_path / "made"
    file.touch()
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)  # a path short enough for a socket
        server.bind("s")
    assert prepare_host_path({"path": str(made), "type": "DirectoryOrCreate"}).is_dir()
    assert prepare_host_path({"path": str(tmp_path / "g"), "type": "FileOrCreate"}).is_file()
    for path, kind in (
        (file, "File"),
        (tmp_path, "Directory"),
        (tmp_path / "s", "Socket"),
        (Path("/dev/null"), "CharDevice"),
    ):
        assert prepare_host_path({"path": str(path), "type": kind}) == path
    with pytest.raises(VolumeError, match=f"hostPath type check failed: {file} is not a directory"):
        prepare_host_path({"path": str(file), "type": "Directory"})
    with pytest.raises(VolumeError, match="is not a file"):
        prepare_host_path({"path": str(tmp_path / "none"), "type": "File"})
    assert prepare_host_path({"path": "/no/such"}) == Path("/no/such")
