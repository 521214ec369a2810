"""The supervisor with small stand-in processes: restarts, adoption, orders over the socket."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.local import control
from cli.local.layout import ClusterLayout

# A supervisor whose processes come from a file of Python, so that a test can change what is wanted.
RUNNER = """
import sys
from pathlib import Path
from cli.local.processes import Listener, ProcessSpec
from cli.local.supervise.supervisor import Supervisor
directory = Path(sys.argv[1])
def planner():
    names = {"Listener": Listener, "ProcessSpec": ProcessSpec, "log": str(directory / "child.log"), "sys": sys}
    return eval((directory / "wanted").read_text(), names)
Supervisor(directory, planner).run()
"""


class Cluster:
    def __init__(self, directory: Path) -> None:
        self.layout = ClusterLayout("clisup", directory)
        self.layout.run.mkdir(parents=True)
        self.process: subprocess.Popen[bytes] | None = None

    def want(self, text: str) -> None:
        (self.layout.run / "wanted").write_text(text)

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", RUNNER, str(self.layout.run)])
        wait_for(lambda: control.is_running(self.layout))

    def states(self) -> dict[str, dict[str, Any]]:
        return {state["name"]: state for state in control.process_states(self.layout)}

    def pid(self, name: str) -> int:
        wait_for(lambda: self.states()[name]["pid"] is not None)
        return int(self.states()[name]["pid"])


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.01)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.terminate()
        made.process.wait(10)


SLEEPER = 'ProcessSpec("sleeper", ("sleep", "1000"), log)'


def test_a_killed_process_comes_back_and_is_counted(cluster: Cluster) -> None:
    cluster.want(f"[{SLEEPER}]")
    cluster.start()
    before = cluster.pid("sleeper")
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: cluster.states()["sleeper"]["pid"] not in (None, before))
    assert cluster.states()["sleeper"]["restarts"] == 1


def test_one_that_keeps_dying_is_given_time(cluster: Cluster) -> None:
    cluster.want('[ProcessSpec("dying", ("false",), log)]')
    cluster.start()

    def waits_long() -> bool:
        state = cluster.states()["dying"]
        return state["state"] == "waiting" and state["next_start_seconds"] > 0.5

    wait_for(waits_long)
    assert cluster.states()["dying"]["restarts"] >= 3, "the first restarts were quicker"


def test_a_command_that_does_not_exist_is_said_in_its_log(cluster: Cluster) -> None:
    cluster.want('[ProcessSpec("missing", ("/no/such/program",), log)]')
    cluster.start()
    wait_for(lambda: "missing: cannot start" in (cluster.layout.run / "child.log").read_text())


def test_a_new_supervisor_adopts_what_runs(cluster: Cluster) -> None:
    cluster.want(f"[{SLEEPER}]")
    cluster.start()
    assert cluster.process is not None
    before = cluster.pid("sleeper")
    cluster.process.kill()
    cluster.process.wait()
    assert Path(f"/proc/{before}").exists()
    cluster.start()
    assert cluster.pid("sleeper") == before
    os.kill(before, signal.SIGKILL)  # and still notices its death
    wait_for(lambda: cluster.states()["sleeper"]["pid"] not in (None, before))


def test_reconcile_ends_what_is_not_wanted_and_starts_what_is(cluster: Cluster) -> None:
    cluster.want(f"[{SLEEPER}]")
    cluster.start()
    before = cluster.pid("sleeper")
    cluster.want('[ProcessSpec("other", ("sleep", "1001"), log)]')
    control.ask(cluster.layout, "reconcile")
    wait_for(lambda: not Path(f"/proc/{before}").exists())
    cluster.pid("other")
    assert "sleeper" not in cluster.states()


def test_a_changed_command_replaces_the_process(cluster: Cluster) -> None:
    cluster.want(f"[{SLEEPER}]")
    cluster.start()
    before = cluster.pid("sleeper")
    cluster.want('[ProcessSpec("sleeper", ("sleep", "2000"), log)]')
    control.ask(cluster.layout, "reconcile")
    wait_for(lambda: cluster.states()["sleeper"]["pid"] not in (None, before))
    # Until the new process has become its program it still shows the supervisor's own words.
    wait_for(lambda: b"2000" in Path(f"/proc/{cluster.pid('sleeper')}/cmdline").read_bytes())


def test_stop_ends_everything_and_then_answers(cluster: Cluster) -> None:
    cluster.want(f"[{SLEEPER}]")
    cluster.start()
    before = cluster.pid("sleeper")
    control.ask(cluster.layout, "stop", timeout_seconds=20)
    assert not Path(f"/proc/{before}").exists()
    assert not control.is_running(cluster.layout)


ECHO = """
import os, socket
listening = socket.socket(fileno=3)
assert os.environ["LISTEN_FDS"] == "1" and os.environ["LISTEN_PID"] == str(os.getpid())
while True:
    connection, _ = listening.accept()
    connection.sendall(str(os.getpid()).encode())
    connection.close()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_clients_wait_through_a_restart_because_the_socket_stays(cluster: Cluster) -> None:
    port = free_port()
    script = cluster.layout.run / "echo.py"
    script.write_text(ECHO)
    listener = f'Listener("127.0.0.1", {port})'
    cluster.want(f'[ProcessSpec("server", (sys.executable, {str(script)!r}), log, listeners=({listener},))]')
    cluster.start()

    def ask() -> str:
        with socket.create_connection(("127.0.0.1", port), 10) as connection:
            return connection.recv(100).decode()

    before = ask()
    answers: list[str] = []
    os.kill(int(before), signal.SIGSTOP)  # so that the next client is surely not served by it
    thread = threading.Thread(target=lambda: answers.append(ask()))
    thread.start()
    time.sleep(0.05)
    os.kill(int(before), signal.SIGKILL)
    thread.join(10)
    assert answers
    assert answers[0] not in ("", before)
