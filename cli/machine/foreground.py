"""Run a supervisor in the foreground, for systemd or for a terminal."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from cli.errors import CommandError
from cli.local.layout import check_home
from cli.local.processes import ProcessSpec
from cli.local.supervise.supervisor import Supervisor


def supervise(home: Path, processes: Sequence[ProcessSpec]) -> None:
    """Until SIGTERM or SIGINT."""
    check_home(home)
    run = home / "run"
    run.mkdir(parents=True, exist_ok=True)
    lock = os.open(run / "supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CommandError(f"another navarch runs in {home}: end it first, or use another --home") from None
    Supervisor(run, lambda: list(processes)).run()
