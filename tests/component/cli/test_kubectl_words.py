"""Our object verbs in the place of kubectl: what stock kubectl was recorded to print, `navarch` has to print too.

The transcripts use more verbs than we have. A small program stands in for kubectl: it gives the verbs that are ours to
`navarch` and the others to stock kubectl, so that the steps can build on each other.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.golden.replaying import replay
from tests.support.processes import ROOT, control_plane

OURS = ("apply", "delete", "describe", "exec", "get", "logs", "rollout", "scale", "top")
GROUPS = ("rollout", "top")  # verbs with a second word

STAND_IN = f"""\
#!{sys.executable}
import os, sys
words, before = sys.argv[1:], []
while words and words[0].startswith("-"):  # flags before the verb belong behind it
    take = 2 if words[0] in ("-n", "--namespace") else 1
    before, words = before + words[:take], words[take:]
verb = words[0] if words else ""
if verb in {OURS!r} and words[1:2] != ["view-last-applied"]:
    count = 2 if verb in {GROUPS!r} else 1
    os.environ["PYTHONPATH"] = {str(ROOT)!r}
    words = words[:count] + before + words[count:]
    os.execv(sys.executable, [sys.executable, "-m", "cli.main", *words])
kubectl = {str(ROOT / ".venv/bin/kubectl")!r}
os.execv(kubectl, [kubectl, *before, *words])
"""

#: topic -> step -> why it differs.
KNOWN = {
    "everyday": {
        "10": "kubectl moves ownership from client-side apply to server-side apply first; ours names both conflicts",
        "22": "go-template is a language of its own: jsonpath and custom-columns are there",
        "29": "follows from 10: the owners of the fields differ",
        "63": "one revision: kubectl sorts the template's labels into another place",
        "68": "kubectl warns before it refuses; ours only refuses",
        "75": "describe of an autoscaler is by fields",
    },
    "create": {
        "25": "kubectl prints the patch in Go's notation",
        "37": "kubectl names the file",
        "49": "the YAML library counts lines from another start",
    },
    "describe": dict.fromkeys(("5", "8", "14", "26", "29", "35", "41", "43", "47"), "described by its fields, not in words of its own"),
}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("topic", sorted(KNOWN))
def test_topic(topic: str, tmp_path: Path) -> None:
    assert (ROOT / ".venv/bin/kubectl").exists(), "no stock kubectl: run `make setup`"
    stand_in = tmp_path / "kubectl"
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)
    with control_plane(tmp_path, full=True) as plane:
        total, differing = replay(
            "kubectl_replay.py", plane.url, plane.token, f"kubectl/{topic}.jsonl", f"kubectl={stand_in}"
        )
    new = {step: what for step, what in differing.items() if step not in KNOWN[topic]}
    assert not new, f"{len(new)} of {total} steps differ and are not listed"
    assert sorted(KNOWN[topic].keys() - differing.keys()) == [], "equal by now: take them off the list"
