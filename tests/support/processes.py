"""Components as processes for tests: started from this checkout, waited for, ended by pid, their logs kept on failure."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ADMIN_TOKEN = "golden-token"
#: token,user,uid,groups: the users that recorded exchanges speak as.
TOKENS = f'{ADMIN_TOKEN},admin,admin,"system:masters"\nusertoken,alice,alice,"devs"\nviewtoken,bob,bob\n'


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """A child with a log file. ``stop`` ends it (TERM, then KILL) and never leaves it behind."""

    def __init__(self, name: str, argv: list[str], directory: Path) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        self._out = self.log.open("ab")
        env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        self.child = subprocess.Popen(argv, stdout=self._out, stderr=subprocess.STDOUT, cwd=directory, env=env)

    def tail(self, lines: int = 30) -> str:
        text = self.log.read_text(errors="replace").splitlines()[-lines:]
        return f"--- {self.name}\n" + "\n".join(text)

    def check(self) -> None:
        if self.child.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.child.returncode}\n{self.tail()}")

    def kill(self) -> None:
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()

    def stop(self) -> None:
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        self._out.close()


def wait_ready(url: str, process: Process, seconds: float = 20) -> None:
    import ssl

    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    deadline = time.monotonic() + seconds
    while True:
        process.check()
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(url, context=context, timeout=2) as answer:
                if answer.status == 200:
                    return
        if time.monotonic() > deadline:
            raise AssertionError(f"{url} not ready after {seconds} s\n{process.tail()}")
        time.sleep(0.05)


class ControlPlane:
    """An API server of its own, optionally with controllers and scheduler, in a directory of its own."""

    def __init__(self, directory: Path, *, store: str = "memory", port: int = 0) -> None:
        self.home = directory / "home"
        self.directory = directory
        self.port = port or free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.token = ADMIN_TOKEN
        self.store = store
        self.processes: dict[str, Process] = {}

    def start(self, name: str, *argv: str) -> Process:
        process = Process(name, [sys.executable, "-m", *argv], self.directory)
        self.processes[name] = process
        return process

    def start_apiserver(self, *more: str) -> None:
        tokens = self.directory / "tokens.csv"
        tokens.write_text(TOKENS)
        process = self.start(
            "apiserver", "apiserver", "--home", str(self.home), "--port", str(self.port), "--store", self.store,
            "--token-auth-file", str(tokens), "--endpoint-reconciler-type", "none", *more,
        )  # fmt: skip
        wait_ready(f"{self.url}/readyz", process)

    def kubeconfig(self, who: str) -> str:
        return str(self.home / "kubeconfig" / f"{who}.kubeconfig")

    def start_controllers(self, *more: str) -> None:
        pki = self.home / "pki"
        self.start(
            "controllers", "controllers", "--kubeconfig", self.kubeconfig("controllers"), "--leader-elect", "false",
            "--root-ca-file", str(pki / "ca.crt"), "--cluster-signing-cert-file", str(pki / "ca.crt"),
            "--cluster-signing-key-file", str(pki / "ca.key"),
            "--service-account-private-key-file", str(pki / "sa.key"), *more,
        )  # fmt: skip

    def start_scheduler(self, *more: str) -> None:
        self.start(
            "scheduler", "scheduler", "--kubeconfig", self.kubeconfig("scheduler"), "--leader-elect", "false", *more
        )

    def stop(self) -> None:
        for process in reversed(list(self.processes.values())):
            process.stop()

    def tails(self) -> str:
        return "\n".join(process.tail() for process in self.processes.values())


@contextlib.contextmanager
def control_plane(directory: Path, *, full: bool = False, store: str = "memory") -> Iterator[ControlPlane]:
    """A running API server; ``full`` adds controllers and scheduler."""
    plane = ControlPlane(directory, store=store)
    try:
        plane.start_apiserver()
        if full:
            plane.start_controllers()
            plane.start_scheduler()
        yield plane
    finally:
        plane.stop()
