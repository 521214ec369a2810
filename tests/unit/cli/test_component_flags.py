"""Flags that a user gives to a component reach its command line, after those that the cluster's shape decides."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.local.layout import ClusterLayout
from cli.local.processes import plan_processes
from cli.local.spec import ClusterSpec, read_spec, write_spec
from cli.local.up import Wanted, decide_spec

FLAGS = ("controllers:--node-monitor-grace-period=20", "agent:--max-pods=7", "agent:--log-level=debug")


@pytest.mark.parametrize(
    ("process", "end"),
    [
        ("controllers", ["--node-monitor-grace-period=20"]),
        ("agent@node1", ["--max-pods=7", "--log-level=debug"]),
        ("scheduler", ["--leader-elect=false"]),
    ],
)
def test_flags_end_the_command_of_their_component(process, end):
    spec = ClusterSpec("c", 6443, flags=FLAGS).grown_to(1)
    commands = {planned.name: list(planned.command) for planned in plan_processes(ClusterLayout("c", Path("/h")), spec)}
    assert commands[process][-len(end) :] == end


def test_flags_stay_until_others_are_given(tmp_path):
    layout = ClusterLayout("c", tmp_path)
    write_spec(layout, decide_spec("c", None, Wanted(port=None, flags=FLAGS)))
    present = read_spec(layout)
    assert present is not None
    assert decide_spec("c", present, Wanted()).flags == FLAGS
    assert decide_spec("c", present, Wanted(flags=("scheduler:--v",))).flags == ("scheduler:--v",)
