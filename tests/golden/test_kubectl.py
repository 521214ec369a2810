"""What stock kubectl prints: recorded against upstream, replayed against us."""

from __future__ import annotations

import pytest

from tests.golden.replaying import TRANSCRIPTS, hold, replay
from tests.support.processes import ROOT, control_plane

TOPICS = sorted(path.name for path in (TRANSCRIPTS / "kubectl").glob("*.jsonl"))


@pytest.mark.golden
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", TOPICS)
def test_topic(name, tmp_path):
    kubectl = ROOT / ".venv/bin/kubectl"
    assert kubectl.exists(), "no stock kubectl: run `make setup`"
    file = f"kubectl/{name}"

    def run(number):
        folder = tmp_path / str(number)
        folder.mkdir()
        with control_plane(folder, full=True) as plane:
            return replay("kubectl_replay.py", plane.url, plane.token, file, f"kubectl={kubectl}")

    hold(file, run, timeless=False)
