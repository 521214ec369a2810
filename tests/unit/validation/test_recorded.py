"""Semantic validation against upstream's recorded refusals: thousands of objects that differ from a good one in one
place.

A step that differs must be listed in `known_differences.txt`, with a reason; one that is listed and does not differ
any more must leave the list. So the list only shrinks.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .judge import judge

FILES = (
    "validation-pods.jsonl", "validation-services.jsonl", "validation-core.jsonl", "validation-workloads.jsonl",
    "validation-storage.jsonl", "validation-rbac-policy.jsonl", "validation-network-devices.jsonl",
    "updates-core.jsonl", "updates-pods-services.jsonl", "updates-workloads.jsonl", "updates-others.jsonl", "crd.jsonl",
)
KNOWN = Path(__file__).with_name("known_differences.txt")


def known(name: str) -> set[str]:
    lines = [line.split("\t") for line in KNOWN.read_text().splitlines() if line and not line.startswith("#")]
    return {step for file, step, _ in lines if file == name}


@pytest.mark.parametrize("name", FILES)
def test_recorded_causes(name: str) -> None:
    judgements = list(judge(name))
    assert len(judgements) > 150
    differing = {each.step: each for each in judgements if each.found != each.wanted}
    listed = known(name)
    surprises = [differing[step] for step in sorted(differing.keys() - listed)]
    report = "\n".join(f"{e.step} {e.title}\n  wanted {e.wanted}\n  found  {e.found}" for e in surprises[:5])
    assert not surprises, f"{len(surprises)} steps differ:\n{report}"
    assert not listed - differing.keys(), "no longer different: take these steps off the list"


def test_the_list_is_read_and_every_line_has_a_reason() -> None:
    lines = [line.split("\t") for line in KNOWN.read_text().splitlines() if line and not line.startswith("#")]
    assert all(len(line) == 3 and line[0] in FILES and line[2] for line in lines)
