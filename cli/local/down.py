"""End a local cluster and leave nothing of it, whatever state it is in: running, crashed, half made or half removed."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from cli.local.control import NoSupervisor, ask
from cli.local.home import remove_home
from cli.local.layout import ClusterLayout, NodeLayout
from cli.local.machines import remove_control_plane, remove_node
from cli.local.power import power_off, remove_cgroup, remove_traces
from cli.local.spec import node_layouts, read_spec
from cli.local.supervise.child import Record, Records, start_time
from cli.progress import Progress

END_SECONDS = 10.0


def take_down(layout: ClusterLayout, progress: Progress, *, keep_data: bool = False) -> None:
    spec = read_spec(layout)
    nodes = node_layouts(layout, spec) if spec else []
    progress.step("ending the control plane")
    stop_processes(layout, gently=keep_data)
    for node in nodes:
        progress.step(f"switching off {node.name}")
        power_off(node)
        remove_node(layout, node)
        if not keep_data:
            remove_traces(node)
    remove_control_plane(layout)
    remove_cgroup(layout.cgroup)
    remove_home(layout, keep_data=keep_data)


def take_down_node(layout: ClusterLayout, node: NodeLayout) -> None:
    power_off(node)
    remove_node(layout, node)
    remove_traces(node)


def stop_processes(layout: ClusterLayout, *, gently: bool) -> None:
    """By the supervisor if it answers; else by the records that it left. What is about to be deleted needs no time
    to write itself down."""
    with contextlib.suppress(NoSupervisor):
        supervisor = _ask_to_end(layout, gently)
        deadline = time.monotonic() + END_SECONDS
        while start_time(supervisor) is not None and time.monotonic() < deadline:
            time.sleep(0.005)  # it has answered and is about to be gone
        return
    records = Records(layout.run / "processes").living()
    for record in records.values():
        _signal(record, signal.SIGTERM if gently else signal.SIGKILL)
    deadline = time.monotonic() + END_SECONDS
    while any(record.is_alive() for record in records.values()):
        if time.monotonic() > deadline:
            for record in records.values():
                _signal(record, signal.SIGKILL)
        time.sleep(0.02)


def _ask_to_end(layout: ClusterLayout, gently: bool) -> int:
    if not gently:
        with contextlib.suppress(RuntimeError):  # a supervisor of an older installation knows only the gentle way
            return int(ask(layout, "kill", timeout_seconds=4 * END_SECONDS)["pid"])
    return int(ask(layout, "stop", timeout_seconds=4 * END_SECONDS)["pid"])


def _signal(record: Record, number: int) -> None:
    if record.is_alive():
        with contextlib.suppress(ProcessLookupError):
            os.kill(record.pid, number)
