"""Recorded behaviour of upstream's controllers and scheduler: one cluster a file, without other nodes."""

from __future__ import annotations

import pytest

from tests.golden.replaying import TRANSCRIPTS, hold, replay
from tests.support.processes import control_plane

TOPICS = sorted(path.name for path in (TRANSCRIPTS / "cluster").glob("*.jsonl"))


@pytest.mark.golden
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", TOPICS)
def test_topic(name, tmp_path):
    file = f"cluster/{name}"

    def run(number):
        folder = tmp_path / str(number)
        folder.mkdir()
        with control_plane(folder, full=True) as plane:
            result = replay("replay.py", plane.url, plane.token, file)
            for process in plane.processes.values():
                process.check()
        return result

    hold(file, run, timeless=False)
