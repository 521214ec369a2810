"""Take from a real machine what its node agent put into its network. What is not there any more is no error."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from cli.bootstrap import DNS_ADDRESS
from cli.local.layout import NodeLayout
from cli.local.power import power_off, remove_traces

NETWORK = (
    ("nft", "delete", "table", "inet", "navarch"),  # the service proxy's only one
    ("ip", "route", "flush", "proto", "78"),  # the mark of routes to other nodes' pods
    ("ip", "address", "delete", f"{DNS_ADDRESS}/32", "dev", "lo"),
)


def remove_node(node: NodeLayout, home: Path) -> None:
    """Containers, mounts, cgroups, network, files: all that joining and running has made."""
    power_off(node)
    remove_traces(node)
    for command in NETWORK:
        subprocess.run(command, capture_output=True, check=False)
    for name in ("nodes", "run"):
        shutil.rmtree(home / name, ignore_errors=True)
    try:
        home.rmdir()
    except OSError:
        pass  # it was somebody's before
