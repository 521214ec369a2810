"""The CNI configuration: one routed veth a pod. Pure, and a writer that replaces the file atomically.

``ptp`` instead of a bridge: every packet between pods of one node is routed by the node, so that the answers of a
Service's pod on the same node pass conntrack again and are translated back, without br_netfilter. Addresses come from
the node's pod CIDR by ``host-local``. Host ports are rules of the service proxy, masquerading too.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

FILE_NAME = "10-navarch.conflist"


def compute_config(pod_cidrs: list[str], *, data_dir: str, mtu: int = 0) -> dict[str, Any]:
    """The network configuration list for these pod CIDRs (one a family)."""
    routes = [{"dst": "::/0" if ":" in cidr else "0.0.0.0/0"} for cidr in pod_cidrs]
    ptp: dict[str, Any] = {
        "type": "ptp",
        "ipMasq": False,
        "ipam": {
            "type": "host-local", "dataDir": data_dir, "ranges": [[{"subnet": cidr}] for cidr in pod_cidrs],
            "routes": routes,
        },
    }  # fmt: skip
    if mtu:
        ptp["mtu"] = mtu
    return {"cniVersion": "0.4.0", "name": "navarch", "plugins": [ptp]}


def write_config(directory: Path, config: dict[str, Any]) -> bool:
    """Write it if it differs; the runtime sees the old file or the new one. Returns whether it was written."""
    text = json.dumps(config, indent=2) + "\n"
    target = directory / FILE_NAME
    try:
        if target.read_text(encoding="utf-8") == text:
            return False
    except FileNotFoundError:
        pass
    directory.mkdir(parents=True, exist_ok=True)
    fresh = directory / f".{FILE_NAME}.new"
    fresh.write_text(text, encoding="utf-8")
    os.replace(fresh, target)
    return True
