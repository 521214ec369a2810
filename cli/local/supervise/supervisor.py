"""Keep the processes of one cluster running: the loop.

One thread, one selector. Every process, started here or adopted from a supervisor before, is followed by its pidfd, so
there is one way to learn of a death whoever the parent is. What should run comes from the cluster's spec file; the
control socket only says "look again", "tell me" and "end everything". Standard library only: this process lives as long
as the cluster and its memory is counted.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cli.local.inside import Inside
from cli.local.layout import ClusterLayout
from cli.local.processes import Listener, ProcessSpec, plan_processes
from cli.local.spec import read_spec
from cli.local.supervise.changes import plan_changes
from cli.local.supervise.child import Record, Records, spawn, started_at
from cli.local.supervise.code import code_fingerprint
from cli.local.supervise.restart import History

GRACE_SECONDS = 8.0
ROTATE_BYTES = 32 << 20
ROTATE_EVERY_SECONDS = 60.0

CODE = code_fingerprint()  # as it was when this process read it

Planner = Callable[[], list[ProcessSpec]]


@dataclass
class Running:
    record: Record
    pidfd: int
    node: str
    ending: bool = False
    kill_at: float = 0.0


@dataclass
class Supervisor:
    directory: Path  # for the socket and the records
    planner: Planner
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    running: dict[str, Running] = field(default_factory=dict)
    histories: dict[str, History] = field(default_factory=dict)
    due: dict[str, float] = field(default_factory=dict)  # processes that wait for their next start
    wanted: dict[str, ProcessSpec] = field(default_factory=dict)
    listeners: dict[Listener, socket.socket] = field(default_factory=dict)
    waiting: list[socket.socket] = field(default_factory=list)  # clients that want to hear when all has ended
    settling: set[str] = field(default_factory=set)  # wait for their first start
    finished: set[str] = field(default_factory=set)  # tasks that need not run again
    stopping: bool = False
    hard: bool = False  # end by SIGKILL: nothing of what they could still write is wanted
    leaving: bool = False  # end without ending anything: another supervisor takes over

    def __post_init__(self) -> None:
        self.records = Records(self.directory / "processes")

    def run(self) -> None:
        wake_reader, wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_writer)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self.selector.register(wake_reader, selectors.EVENT_READ, lambda: self._signalled(wake_reader))
        server = self._open_control_socket()
        self.selector.register(server, selectors.EVENT_READ, lambda: self._accept(server))
        self._adopt()
        self.reconcile()
        next_rotation = time.monotonic() + ROTATE_EVERY_SECONDS
        while not self.leaving and not (self.stopping and not self.running):
            for key, _ in self.selector.select(self._timeout(next_rotation)):
                key.data()
            now = time.monotonic()
            self._start_due(now)
            self._kill_overdue(now)
            if now >= next_rotation:
                self._rotate_logs()
                next_rotation = now + ROTATE_EVERY_SECONDS
        (self.directory / "supervisor.sock").unlink(missing_ok=True)
        for client in self.waiting:
            _answer(client, {"ok": True, "pid": os.getpid()})

    # -- what should run --------------------------------------------------------------------------------------------

    def reconcile(self) -> None:
        """Compare the spec with what runs; start and end the difference."""
        wanted = [] if self.stopping else [spec for spec in self.planner() if spec.name not in self.finished]
        self.wanted = {spec.name: spec for spec in wanted}
        changes = plan_changes(wanted, {name: running.record.command for name, running in self.running.items()})
        for name in changes.end:
            self._end(name)
        for name in [name for name in self.due if name not in self.wanted]:
            del self.due[name]
        now = time.monotonic()
        whole = not self.running and not self.histories
        for spec in changes.start:
            if spec.name in self.settling and self.due.get(spec.name, now) > now:
                continue
            # Also one that waits out a back-off: whoever asks for a reconcile has changed something.
            self.due[spec.name] = now + (spec.settle_seconds if whole else 0.0)
            if whole and spec.settle_seconds:
                self.settling.add(spec.name)
        self._start_due(now)

    def _adopt(self) -> None:
        for name, record in self.records.living().items():
            node = name.partition("@")[2]
            self._follow(name, record, node)
            log(f"{name}: adopted process {record.pid}")

    def _follow(self, name: str, record: Record, node: str) -> None:
        try:
            pidfd = os.pidfd_open(record.pid)
        except ProcessLookupError:
            return  # gone between the look and the step; the next reconcile starts it
        self.running[name] = Running(record, pidfd, node)
        self.selector.register(pidfd, selectors.EVENT_READ, lambda: self._ended(name))

    def _start_due(self, now: float) -> None:
        for name in [name for name, at in self.due.items() if at <= now]:
            del self.due[name]
            self.settling.discard(name)
            spec = self.wanted.get(name)
            if spec is None or name in self.running:
                continue
            history = self.histories.get(name, History())
            self.histories[name] = history.started(now)
            try:
                record = spawn(spec, [self._listener(listener).fileno() for listener in spec.listeners])
            except OSError as error:
                log(f"{name}: cannot start: {error}")
                self._schedule(name, now)
                continue
            self.records.write(name, record)
            self._follow(name, record, spec.node)
            log(f"{name}: started as process {record.pid}")

    def _schedule(self, name: str, now: float) -> None:
        self.histories[name], self.due[name] = self.histories[name].ended(now)

    def _listener(self, listener: Listener) -> socket.socket:
        if listener not in self.listeners:
            if listener.netns:
                opened = Inside(listener.netns).socket(socket.SOCK_STREAM)
            else:
                opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind((listener.address, listener.port))
            opened.listen(512)
            self.listeners[listener] = opened
        return self.listeners[listener]

    # -- deaths -----------------------------------------------------------------------------------------------------

    def _ended(self, name: str) -> None:
        running = self.running.pop(name)
        self.selector.unregister(running.pidfd)
        os.close(running.pidfd)
        self.records.remove(name)
        how = _reap(running.record.pid)
        if name not in self.wanted:
            log(f"{name}: ended ({how})")
            return
        if self.wanted[name].once and how == "exit status 0":
            self.finished.add(name)
            log(f"{name}: done")
            return
        now = time.monotonic()
        if running.ending:
            self.due[name] = now
            log(f"{name}: ended ({how}), starts with its new command")
            return
        self.histories.setdefault(name, History())
        self._schedule(name, now)
        log(f"{name}: ended ({how}), starts again in {self.due[name] - now:.1f} s")

    def _end(self, name: str) -> None:
        """A machine's processes lose power; those of the control plane are asked to leave and have time to."""
        running = self.running[name]
        running.ending = True
        if running.node or self.hard:
            _signal(running.pidfd, signal.SIGKILL)
        else:
            _signal(running.pidfd, signal.SIGTERM)
            running.kill_at = time.monotonic() + GRACE_SECONDS

    def _kill_overdue(self, now: float) -> None:
        for name, running in self.running.items():
            if running.kill_at and running.kill_at <= now:
                log(f"{name}: still there {GRACE_SECONDS:.0f} s after SIGTERM, killed")
                _signal(running.pidfd, signal.SIGKILL)
                running.kill_at = now + GRACE_SECONDS

    def _timeout(self, next_rotation: float) -> float:
        times = [next_rotation, *self.due.values(), *(r.kill_at for r in self.running.values() if r.kill_at)]
        return max(0.0, min(times) - time.monotonic())

    # -- control ----------------------------------------------------------------------------------------------------

    def _signalled(self, reader: int) -> None:
        os.read(reader, 64)
        self._stop()

    def _stop(self) -> None:
        self.stopping = True
        self.reconcile()

    def _open_control_socket(self) -> socket.socket:
        path = self.directory / "supervisor.sock"
        path.unlink(missing_ok=True)  # the caller holds the supervisor's lock: nobody else can be listening
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        os.umask(0o077)
        server.bind(str(path))
        server.listen(16)
        return server

    def _accept(self, server: socket.socket) -> None:
        client, _ = server.accept()
        client.settimeout(1.0)
        try:
            request = json.loads(client.makefile("rb").readline(65536) or b"{}")
            self._serve(client, request.get("op"))
        except (OSError, ValueError, AttributeError) as error:
            log(f"control: {error}")
            client.close()

    def _serve(self, client: socket.socket, operation: str | None) -> None:
        if operation in ("stop", "kill"):
            self.hard = operation == "kill"
            self.waiting.append(client)
            self._stop()
            return
        if operation == "leave":
            self.leaving = True
            self.waiting.append(client)
            return
        if operation == "reconcile":
            self.reconcile()
        elif operation != "status":
            _answer(client, {"ok": False, "error": f"unknown operation {operation!r}"})
            return
        _answer(client, {"ok": True, "code": CODE, "processes": self.status()})

    def status(self) -> list[dict[str, Any]]:
        now, found = time.monotonic(), []
        for name in dict.fromkeys([*self.wanted, *self.running]):
            running, history = self.running.get(name), self.histories.get(name, History())
            found.append({
                "name": name,
                "pid": running.record.pid if running else None,
                "state": "running" if running and not running.ending else "ending" if running else "waiting",
                "started_at": started_at(running.record) if running else None,
                "restarts": history.restarts,
                "next_start_seconds": max(0.0, self.due[name] - now) if name in self.due else None,
            })  # fmt: skip
        return found

    def _rotate_logs(self) -> None:
        """Copy and truncate: the writers hold the file open for appending and go on at its new end."""
        for spec in self.wanted.values():
            try:
                if os.stat(spec.log).st_size < ROTATE_BYTES:
                    continue
                with open(spec.log, "rb") as source, open(f"{spec.log}.1", "wb") as target:
                    os.sendfile(target.fileno(), source.fileno(), 0, ROTATE_BYTES)
                os.truncate(spec.log, 0)
            except OSError as error:
                log(f"{spec.name}: log not rotated: {error}")


def _signal(pidfd: int, number: int) -> None:
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        pass  # its death is already on the way to us


def _reap(pid: int) -> str:
    try:
        _, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return "not our child"  # adopted: its status went to init
    code = os.waitstatus_to_exitcode(status)
    return f"exit status {code}" if code >= 0 else f"signal {-code}"


def _answer(client: socket.socket, message: dict[str, Any]) -> None:
    try:
        client.sendall(json.dumps(message).encode() + b"\n")
    except OSError:
        pass  # the client has gone; what it asked for is done all the same
    client.close()


def log(message: str) -> None:
    print(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), message, file=sys.stderr, flush=True)


def supervise_cluster(layout: ClusterLayout) -> None:
    def planner() -> list[ProcessSpec]:
        spec = read_spec(layout)
        return plan_processes(layout, spec) if spec else []

    Supervisor(layout.run, planner).run()
