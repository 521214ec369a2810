"""The command as a person meets it: help, mistakes in one line, exit codes, and that it starts quickly."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli.main import COMMANDS, explain, load, run_to_exit_code
from machinery.client import ConnectError
from machinery.meta.errors import not_found


@pytest.mark.parametrize("name", [name for name, row in COMMANDS.items() if not row.passes_arguments])
def test_every_row_of_the_table_has_a_command_with_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert load(name) is not None
    assert run_to_exit_code([name, "--help"]) == 0
    assert f"navarch {name}" in capsys.readouterr().out


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_to_exit_code(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {name} " in text and row.help in text for name, row in COMMANDS.items())


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["statu"], "navarch: No such command 'statu'. Did you mean 'status'? (see `navarch --help`)\n"),
        (["up", "--bad"], "navarch: No such option '--bad' (see `navarch up --help`)\n"),
        (
            ["up", "--nodes", "x"],
            "navarch: Invalid value for '--nodes': 'x' is not a valid integer range (see `navarch up --help`)\n",
        ),
        (["up", "--store", "oracle"], "navarch: --store oracle: use sqlite or etcd\n"),
        (["up", "-f", "/no/such.yaml"], "navarch: /no/such.yaml: no such manifest\n"),
        (
            ["token", "create", "--ttl", "5"],
            "navarch: --ttl 5: use a number and s, m, h or d, as in 24h; 0 is for ever\n",
        ),
        (["server", "--store", "etcd"], "navarch: --store is sqlite, or etcd with --etcd-servers URL\n"),
        (["status", "-o", "xml"], "navarch: -o xml: only json is there\n"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_and_exit_code_2(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.local.preflight.require_root", lambda command: None)
    assert run_to_exit_code(arguments) == 2
    assert capsys.readouterr().err == line


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["status", "--name", "clinone"], "there is no cluster clinone in /var/lib/navarch/clinone; `navarch up`"),
        (["kubeconfig", "--name", "a-b"], "use up to 15 lower-case letters and digits, a letter first"),
        (["nodes", "stop", "x", "--name", "clinone"], "there is no cluster clinone"),
        (["get", "pods", "--kubeconfig", "/no/such"], "no kubeconfig at /no/such"),
        (["get", "pods", "--cluster-name", "clinone"], "start clinone with `navarch up`"),
        (["apply"], "error: must specify one of -f and -k"),
    ],
)  # fmt: skip
def test_refusals_say_what_to_do(arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_to_exit_code(arguments) == 1
    assert line in capsys.readouterr().err
    assert not Path("/var/lib/navarch/clinone").exists()


def test_without_root_up_says_so_before_anything(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert run_to_exit_code(["up", "--home", str(tmp_path / "h")]) == 1
    assert capsys.readouterr().err == "navarch: navarch up needs root (namespaces, containers): run it with sudo\n"
    assert not (tmp_path / "h").exists()


def test_errors_of_lower_layers_are_explained_and_bugs_are_not() -> None:
    assert explain(not_found("apps", "deployments", "x")) == (
        'Error from server (NotFound): deployments.apps "x" not found'
    )
    assert explain(ConnectError("https://x: refused")) == "https://x: refused"
    assert explain(FileNotFoundError(2, "No such file or directory", "/x")) == "/x: No such file or directory"
    assert explain(KeyError("bug")) is None


@pytest.mark.parametrize("arguments", [["--help"], ["kubeconfig", "--name", "clinone"]])
def test_the_quick_commands_are_quick(arguments: list[str]) -> None:
    """The best of five, so that a busy machine does not decide; the limit is what a person feels as at once."""
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "cli.main", *arguments], capture_output=True, check=False)
        best = min(best, time.perf_counter() - started)
    assert best < 0.2
