"""Runs a transcript against a server and holds the result against the list of known differences.

``known_differences.txt`` has a line a step: ``FILE STEP reason``. A step that differs and is not listed fails. A listed
step that is equal fails too where the answer does not depend on time (the API server's topics): the list only shrinks.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).parent
TRANSCRIPTS = HERE / "transcripts"
KNOWN = HERE / "known_differences.txt"

_SUMMARY = re.compile(r"^(\d+) steps, (\d+) differ$", re.MULTILINE)


def known_differences() -> dict[str, dict[str, str]]:
    """file -> step -> reason."""
    known: dict[str, dict[str, str]] = {}
    for number, line in enumerate(KNOWN.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.split(maxsplit=2)
        assert len(parts) == 3, f"{KNOWN.name}:{number}: a line needs a file, a step and a reason"
        known.setdefault(parts[0], {})[parts[1]] = parts[2]
    return known


def replay(
    tool: str, url: str, token: str, file: str, *more: str, timeout: float = 900, enter: Sequence[str] = ()
) -> tuple[int, dict[str, str]]:
    """(number of steps, {step: first difference}) of one transcript. ``enter`` begins the command line: where to run."""
    path = TRANSCRIPTS / file
    argv = [*enter, sys.executable, str(TRANSCRIPTS / tool), "check", url, token, str(path), *more]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout)
    summary = _SUMMARY.search(done.stdout)
    assert summary, f"replay of {file} broke\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    differing = {}
    for line in done.stdout.splitlines():
        if line.startswith(f"{path.name} "):
            step, _, what = line[len(path.name) + 1 :].partition(" ")
            differing[step] = what
    assert len(differing) == len(set(differing)), file
    return int(summary[1]), differing


def judge(file: str, total: int, differing: dict[str, str], *, timeless: bool) -> None:
    """Fail on what is not listed, and on what is listed without need."""
    known = known_differences().get(file, {})
    new = {step: what for step, what in differing.items() if step not in known}
    lines = [f"{file} {step}: {what}" for step, what in new.items()]
    assert not new, f"{len(new)} of {total} steps differ and are not listed:\n" + "\n".join(lines)
    if timeless:
        stale = sorted(set(known) - set(differing))
        assert not stale, f"{file}: equal by now, take them off the list: {' '.join(stale)}"


def hold(file: str, run: Callable[[int], tuple[int, dict[str, str]]], *, timeless: bool) -> None:
    """Judge a transcript; once more, from the start, before a difference counts.

    Some recorded answers depend on the second in which two writes fall, or on an order that upstream draws by chance:
    a difference that is one is there in the second run as well. ``run`` gets the number of the run.
    """
    try:
        judge(file, *run(1), timeless=timeless)
    except AssertionError:
        judge(file, *run(2), timeless=timeless)
