"""What stock kubectl prints: recorded against upstream, replayed against us."""

from __future__ import annotations

import pytest

from tests.golden.replaying import TRANSCRIPTS, judge, replay
from tests.support.processes import ROOT, control_plane

TOPICS = sorted(path.name for path in (TRANSCRIPTS / "kubectl").glob("*.jsonl"))


@pytest.mark.golden
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", TOPICS)
def test_topic(name, tmp_path):
    kubectl = ROOT / ".venv/bin/kubectl"
    assert kubectl.exists(), "no stock kubectl: run `make setup`"
    file = f"kubectl/{name}"
    with control_plane(tmp_path, full=True) as plane:
        total, differing = replay("kubectl_replay.py", plane.url, plane.token, file, f"kubectl={kubectl}")
    judge(file, total, differing, timeless=False)
