"""Recorded behaviour of upstream's controllers and scheduler: one cluster a file, without other nodes."""

from __future__ import annotations

import pytest

from tests.golden.replaying import TRANSCRIPTS, judge, replay
from tests.support.processes import control_plane

TOPICS = sorted(path.name for path in (TRANSCRIPTS / "cluster").glob("*.jsonl"))


@pytest.mark.golden
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", TOPICS)
def test_topic(name, tmp_path):
    file = f"cluster/{name}"
    with control_plane(tmp_path, full=True) as plane:
        total, differing = replay("replay.py", plane.url, plane.token, file)
        for process in plane.processes.values():
            process.check()
    judge(file, total, differing, timeless=False)
