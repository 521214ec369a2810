"""Recorded answers of upstream's API server, each topic against a server of its own."""

from __future__ import annotations

import pytest

from tests.golden.replaying import TRANSCRIPTS, hold, replay
from tests.support.processes import control_plane

TOPICS = sorted(path.name for path in TRANSCRIPTS.glob("*.jsonl") if path.name != "wire.jsonl")


@pytest.mark.golden
@pytest.mark.timeout(900)
@pytest.mark.parametrize("file", TOPICS)
def test_topic(file, tmp_path):
    def run(number):
        folder = tmp_path / str(number)
        folder.mkdir()
        with control_plane(folder) as plane:
            result = replay("replay.py", plane.url, plane.token, file)
            plane.processes["apiserver"].check()
        return result

    hold(file, run, timeless=True)
