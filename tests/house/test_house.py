"""The house rules that tools can hold: style, types, layers, and what must not stand in the tree."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("apiserver", "cli", "controllers", "kubelet", "machinery", "network", "scheduler")


def run(*argv: str) -> None:
    done = subprocess.run([sys.executable, "-m", *argv], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout[-4000:]}\n{done.stderr[-1000:]}"


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).is_file()]


def test_style():
    run("ruff", "check", ".")


@pytest.mark.timeout(600)
def test_types():
    run("mypy", *PACKAGES)


def test_layers():
    done = subprocess.run([str(Path(sys.executable).with_name("lint-imports"))], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]


def test_no_module_is_a_heap():
    """One concept a file: past 600 lines there are two (tables and generated code aside)."""
    long = {
        str(path.relative_to(ROOT)): lines
        for path in tracked()
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in PACKAGES and "_pb2" not in path.name
        and (lines := path.read_text().count("\n")) > 600
    }
    assert not long


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_imports_alone(package):
    """In a fresh interpreter, so that no cycle hides behind the order in which tests import things."""
    run("compileall", "-q", str(ROOT / package))
    assert importlib.util.find_spec(package) is not None
    done = subprocess.run([sys.executable, "-c", f"import {package}"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_lock_files_name_no_address_and_hash_everything():
    for path in ROOT.glob("requirements*.txt"):
        text = path.read_text()
        assert "://" not in text, path.name
        pins = re.findall(r"^[a-z0-9][^\n]*==", text, re.MULTILINE)
        assert pins, path.name
        assert len(pins) <= text.count("--hash=sha256:"), path.name


def test_nothing_is_left_undone():
    marks = re.compile(r"\b(TODO|FIXME|XXX)\b")
    found = [
        str(path.relative_to(ROOT)) for path in tracked()
        if path.suffix in (".py", ".sh") and path != Path(__file__) and "transcripts" not in path.parts
        and marks.search(path.read_text(errors="replace"))
    ]
    assert not found
