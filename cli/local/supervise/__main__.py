"""`python -m cli.local.supervise NAME HOME`: the supervisor of one cluster. `navarch up` starts it; people need not."""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

from cli.local.layout import ClusterLayout
from cli.local.supervise.supervisor import log, supervise_cluster


def main(name: str, home: str) -> int:
    layout = ClusterLayout(name, Path(home))
    lock = os.open(layout.run / "supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log("another supervisor of this cluster is running")
        return 1
    supervise_cluster(layout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
