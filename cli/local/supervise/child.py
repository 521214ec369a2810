"""Start one process of a cluster, and find it again after the supervisor itself was restarted.

A child gets a session of its own, its log file, its namespace (by `nsenter`, which replaces itself, so the process id
stays) and its listening sockets as systemd would pass them. It is *not* tied to the supervisor's life: a crash of
that must not take containers' caretakers with it. Each child leaves a record (process id and start time, which together
name a process for ever), by which the next supervisor adopts it.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cli.local.processes import ProcessSpec

FIRST_PASSED_FD = 3


@dataclass(frozen=True)
class Record:
    pid: int
    started: int  # clock ticks after boot, from /proc/PID/stat
    command: tuple[str, ...]
    boot: str

    def is_alive(self) -> bool:
        return self.boot == boot_id() and start_time(self.pid) == self.started


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_time(pid: int) -> int | None:
    """None when there is no such process, or only its zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])


def started_at(record: Record) -> float:
    """Seconds since the epoch, from ticks since boot."""
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return time.time() - uptime + record.started / os.sysconf("SC_CLK_TCK")


def full_command(spec: ProcessSpec) -> tuple[str, ...]:
    return ("nsenter", f"--net={spec.netns}", "--", *spec.command) if spec.netns else spec.command


def spawn(spec: ProcessSpec, sockets: Sequence[int] = ()) -> Record:
    """Fork and exec. The supervisor has one thread, so Python code between the two is safe."""
    Path(spec.log).parent.mkdir(parents=True, exist_ok=True)
    log = os.open(spec.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    pid = os.fork()
    if pid == 0:
        try:
            _become(spec, sockets, log)
        except BaseException as error:
            os.write(2, f"{spec.name}: cannot start: {error}\n".encode())
        finally:
            os._exit(127)
    os.close(log)
    return Record(pid, start_time(pid) or 0, spec.command, boot_id())


def _become(spec: ProcessSpec, sockets: Sequence[int], log: int) -> None:
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # First out of the way, then into place: a source may sit where another one has to go.
    high = [os.dup(socket) for socket in sockets]
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    for offset, socket in enumerate(high):
        os.dup2(socket, FIRST_PASSED_FD + offset, inheritable=True)
    os.closerange(FIRST_PASSED_FD + len(high), 256)
    # One heap a process: our threads hold the interpreter lock while they allocate, more heaps only fragment (5 MB).
    environment = {"MALLOC_ARENA_MAX": "1"} | dict(os.environ) | dict(spec.environment)
    if sockets:
        environment |= {"LISTEN_FDS": str(len(sockets)), "LISTEN_PID": str(os.getpid())}
    command = full_command(spec)
    os.chdir("/")
    os.execvpe(command[0], command, environment)


class Records:
    """The children's records, one file each in a directory of the cluster's home."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, name: str, record: Record) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        temporary = self.directory / f".{name}.new"
        temporary.write_text(json.dumps(record.__dict__))
        temporary.rename(self.directory / f"{name}.json")

    def remove(self, name: str) -> None:
        (self.directory / f"{name}.json").unlink(missing_ok=True)

    def living(self) -> dict[str, Record]:
        """Those whose process still is the one that was recorded; the others' files are removed."""
        found = {}
        for path in sorted(self.directory.glob("*.json")):
            try:
                data = json.loads(path.read_text())
                record = Record(data["pid"], data["started"], tuple(data["command"]), data["boot"])
            except (ValueError, KeyError, TypeError):
                path.unlink(missing_ok=True)
                continue
            if record.is_alive():
                found[path.stem] = record
            else:
                path.unlink(missing_ok=True)
        return found
