"""Talk to a cluster's supervisor, start it, and hold the cluster's lock while changing things.

The lock is a flock on a file of the home: it goes with the process that holds it, so a command that was killed leaves
no lock behind.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cli.errors import CommandError
from cli.local.layout import ClusterLayout
from cli.local.supervise.code import code_fingerprint


class Busy(RuntimeError):
    pass


class NoSupervisor(RuntimeError):
    pass


@contextmanager
def cluster_lock(layout: ClusterLayout, action: str, *, must_exist: bool = True) -> Iterator[None]:
    if must_exist and not layout.spec.exists():
        raise CommandError(f"there is no cluster {layout.name} in {layout.home}; `navarch up` makes one")
    layout.run.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode() or "another command"
            os.close(descriptor)
            raise Busy(f"cluster {layout.name} is busy: {holder} is running; wait for it to end") from None
        if _is_current(layout, descriptor):
            break
        os.close(descriptor)  # `down` removed the file between our open and our lock
        layout.run.mkdir(parents=True, exist_ok=True)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"navarch {action} (process {os.getpid()})".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _is_current(layout: ClusterLayout, descriptor: int) -> bool:
    try:
        return os.stat(layout.lock).st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def ask(layout: ClusterLayout, operation: str, timeout_seconds: float = 5.0) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_seconds)
        try:
            connection.connect(str(layout.supervisor_socket))
            connection.sendall(json.dumps({"op": operation}).encode() + b"\n")
            line = connection.makefile("rb").readline()
        except OSError as error:
            raise NoSupervisor(f"cluster {layout.name} is not running ({error}); `navarch up` starts it") from error
    if not line:
        raise NoSupervisor(f"the supervisor of cluster {layout.name} ended while answering")
    answer: dict[str, Any] = json.loads(line)
    if not answer.get("ok"):
        raise RuntimeError(f"supervisor: {answer.get('error')}")
    return answer


def is_running(layout: ClusterLayout) -> bool:
    try:
        ask(layout, "status")
    except NoSupervisor:
        return False
    return True


def _wait_unlocked(layout: ClusterLayout, timeout_seconds: float) -> None:
    """The old supervisor has answered and is about to let go of its lock."""
    deadline = time.monotonic() + timeout_seconds
    with open(layout.run / "supervisor.lock") as lock:
        while time.monotonic() < deadline:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                time.sleep(0.005)


def process_states(layout: ClusterLayout) -> list[dict[str, Any]]:
    states: list[dict[str, Any]] = ask(layout, "status")["processes"]
    return states


def ensure_supervisor(layout: ClusterLayout, timeout_seconds: float = 5.0) -> bool:
    """Reconcile with the running one, or start one. True when it was started now. One that runs older code than is
    installed is replaced; what it looks after goes on under the new one."""
    try:
        if ask(layout, "status").get("code") == code_fingerprint():
            ask(layout, "reconcile")
            return False
        ask(layout, "leave")
        _wait_unlocked(layout, timeout_seconds)
    except NoSupervisor:
        pass
    layout.log.mkdir(parents=True, exist_ok=True)
    with (layout.log / "supervisor.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.local.supervise", layout.name, str(layout.home)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/",
        )  # fmt: skip
    deadline = time.monotonic() + timeout_seconds
    try:
        while not is_running(layout):
            if process.poll() is not None or time.monotonic() > deadline:
                raise NoSupervisor(f"the supervisor did not start; {layout.log}/supervisor.log says why")
            time.sleep(0.01)
    except BaseException:
        # Interrupted: nobody could ask it to stop yet. It ends what it may have started already.
        process.terminate()
        process.wait()
        raise
    return True
