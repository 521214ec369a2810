"""Image names, archives, the pause program, pulls with back-off."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import signal
import subprocess
import tarfile
from pathlib import Path

import pytest

from kubelet.cri import CriError
from kubelet.images.oci import File, ImageConfig, Link, build_image, build_layer
from kubelet.images.pause import pause_binary, pause_image
from kubelet.images.puller import ImageError, ImagePuller, credentials_for
from kubelet.images.reference import InvalidReference, apply_default_tag, default_pull_policy, parse_reference
from machinery.testing.fake_clock import FakeClock
from proto import cri_pb2 as cri


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("busybox", "busybox:latest"),
        ("a/b:1", "a/b:1"),
        ("localhost:5000/x", "localhost:5000/x:latest"),
        ("x@sha256:" + "a" * 64, "x@sha256:" + "a" * 64),
        ("r.io/x:1@sha256:" + "a" * 64, "r.io/x:1@sha256:" + "a" * 64),
        ("a__b/c-d.e:v_1.2-3", "a__b/c-d.e:v_1.2-3"),
        ("[::1]:5000/a", "[::1]:5000/a:latest"),
    ],
)
def test_names(text: str, full: str) -> None:
    assert str(parse_reference(text)) == full


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Not/A:Na:me", "invalid reference format: repository name (A) must be lowercase"),
        ("UPPER", "invalid reference format: repository name (UPPER) must be lowercase"),
        ("a b", "invalid reference format"),
        ("", "invalid reference format"),
        ("a:", "invalid reference format"),
        ("-a", "invalid reference format"),
        ("a/b:" + "x" * 129, "invalid reference format"),
    ],
)
def test_what_is_no_name(text: str, verdict: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        apply_default_tag(text)
    assert str(caught.value) == (
        f'Failed to apply default image tag "{text}": couldn\'t parse image name "{text}": {verdict}'
    )


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("a", "Always"),
        ("a:latest", "Always"),
        ("a:1", "IfNotPresent"),
        ("a@sha256:" + "b" * 64, "IfNotPresent"),
    ],
)
def test_default_policy(text: str, policy: str) -> None:
    assert default_pull_policy(text) == policy


def test_an_archive_is_an_oci_layout_whose_digests_hold() -> None:
    layer = {"bin/tool": File(b"x", 0o755), "bin/alias": Link("tool"), "bin/same": Link("bin/tool", hard=True)}
    archive = build_image("localhost/t:1", [layer], ImageConfig(cmd=["tool"]), architecture="arm64")
    assert archive == build_image("localhost/t:1", [layer], ImageConfig(cmd=["tool"]), architecture="arm64")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = {m.name: tar.extractfile(m).read() for m in tar.getmembers() if m.isfile()}  # type: ignore[union-attr]
    for name, content in files.items():
        if name.startswith("blobs/sha256/"):
            assert hashlib.sha256(content).hexdigest() == name.rpartition("/")[2]
    (entry,) = json.loads(files["index.json"])["manifests"]
    assert entry["annotations"]["io.containerd.image.name"] == "localhost/t:1"
    manifest = json.loads(files["blobs/" + entry["digest"].replace(":", "/")])
    config = json.loads(files["blobs/" + manifest["config"]["digest"].replace(":", "/")])
    assert (config["architecture"], config["config"]["Cmd"]) == ("arm64", ["tool"])
    assert config["rootfs"]["diff_ids"] == [manifest["layers"][0]["digest"]]
    (docker,) = json.loads(files["manifest.json"])
    assert docker["RepoTags"] == ["localhost/t:1"]


def test_a_layer_has_its_parents_modes_and_links() -> None:
    with tarfile.open(fileobj=io.BytesIO(build_layer({"a/b/c": File(b"", 0o4755, 5, 6), "l": Link("/a")}))) as tar:
        members = {m.name: m for m in tar.getmembers()}
    assert members["a/b"].isdir()
    assert (members["a/b/c"].mode, members["a/b/c"].uid, members["a/b/c"].gid) == (0o4755, 5, 6)
    assert members["l"].linkname == "/a"


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="runs the amd64 program")
def test_the_pause_program_waits_and_ends_on_sigterm(tmp_path: Path) -> None:
    path = tmp_path / "pause"
    path.write_bytes(pause_binary("amd64"))
    path.chmod(0o755)
    process = subprocess.Popen([path])
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.2)
    process.send_signal(signal.SIGCHLD)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(2) == 0


def test_the_arm64_program_is_an_elf_for_that_machine() -> None:
    binary = pause_binary("arm64")
    assert binary[:5] == b"\x7fELF\x02"
    assert int.from_bytes(binary[18:20], "little") == 183
    assert (len(binary) - 120) % 4 == 0
    assert len(pause_image("arm64")) > len(binary)
    with pytest.raises(ValueError, match="riscv64"):
        pause_binary("riscv64")


class FakeRuntime:
    """Images that are there, and what a pull of each answers."""

    def __init__(self, present: set[str], pulls: dict[str, str | CriError]) -> None:
        self.present, self.pulls, self.tried = present, pulls, []

    async def image_status(self, image: str) -> cri.Image | None:
        return cri.Image(id="sha256:" + image, size=5) if image in self.present else None

    async def pull_image(self, image: str, *, auth: cri.AuthConfig | None = None) -> str:
        self.tried.append(auth.username if auth else "")
        answer = self.pulls[image]
        if isinstance(answer, CriError):
            raise answer
        self.present.add(answer)
        return answer


class Told:
    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []

    def __call__(self, kind: str, reason: str, message: str) -> None:
        self.events.append((kind, reason, message))


async def test_present_images_are_not_pulled_unless_always() -> None:
    told, runtime = Told(), FakeRuntime({"a:1"}, {"a:1": "a:1"})
    puller = ImagePuller(runtime, clock=FakeClock())  # type: ignore[arg-type]
    await puller.ensure("u", "a:1", "IfNotPresent", told)
    message = 'Container image "a:1" already present on machine and can be accessed by the pod'
    assert told.events == [("Normal", "Pulled", message)]
    assert runtime.tried == []
    await puller.ensure("u", "a:1", "Always", told)
    assert [event[1] for event in told.events[1:]] == ["Pulling", "Pulled"]


async def test_never_means_never() -> None:
    told = Told()
    with pytest.raises(ImageError) as caught:
        await ImagePuller(FakeRuntime(set(), {}), clock=FakeClock()).ensure("u", "a:1", "Never", told)  # type: ignore[arg-type]
    assert caught.value.reason == "ErrImageNeverPull"
    assert caught.value.message == 'Container image "a:1" is not present with pull policy of Never'


async def test_failed_pulls_back_off_longer_each_time() -> None:
    clock, told = FakeClock(), Told()
    runtime = FakeRuntime(set(), {"a:1": CriError("UNKNOWN", "no")})
    puller = ImagePuller(runtime, clock=clock)  # type: ignore[arg-type]

    async def attempt() -> ImageError:
        with pytest.raises(ImageError) as caught:
            await puller.ensure("u", "a:1", None, told)
        return caught.value

    assert (await attempt()).reason == "ErrImagePull"
    waiting = await attempt()
    assert waiting.reason == "ImagePullBackOff"
    assert waiting.message == 'Back-off pulling image "a:1": ErrImagePull: rpc error: code = Unknown desc = no'
    assert waiting.retry_after_seconds == 10
    await clock.advance(10)
    assert (await attempt()).reason == "ErrImagePull"
    assert (await attempt()).retry_after_seconds == 20
    puller.forget("u")
    assert (await attempt()).reason == "ErrImagePull"
    assert len(runtime.tried) == 3


def secret(document: dict, key: str = ".dockerconfigjson") -> dict:
    return {"metadata": {"name": "s"}, "data": {key: base64.b64encode(json.dumps(document).encode()).decode()}}


def test_credentials_fit_by_registry_and_path() -> None:
    auth = base64.b64encode(b"u:p:q").decode()
    auths = {
        "https://r.io/v1/": {"auth": auth},
        "r.io/team": {"username": "t", "password": "x"},
        "other.io": {"auth": auth},
    }
    found = credentials_for("r.io/team/app:1", [secret({"auths": auths})])
    assert [(a.username, a.password) for a in found] == [("t", "x"), ("u", "p:q")]
    assert (
        credentials_for("app", [secret({"https://index.docker.io/v1/": {"auth": auth}}, ".dockercfg")])[0].username
        == "u"
    )
    assert (
        credentials_for(
            "x.io/a", [secret({"auths": auths}), {"metadata": {"name": "bad"}, "data": {".dockercfg": "!!"}}]
        )
        == []
    )


async def test_each_credential_is_tried_and_then_none() -> None:
    runtime = FakeRuntime(set(), {"r.io/a:1": CriError("UNKNOWN", "denied")})
    puller = ImagePuller(runtime, clock=FakeClock())  # type: ignore[arg-type]
    with pytest.raises(ImageError, match="denied"):
        await puller.ensure("u", "r.io/a:1", None, Told(), secrets=[secret({"auths": {"r.io": {"username": "n"}}})])
    assert runtime.tried == ["n", ""]
