"""What has to start and what has to end. Pure: the wanted processes and the running ones in, names out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cli.local.processes import ProcessSpec


@dataclass(frozen=True)
class Changes:
    start: tuple[ProcessSpec, ...]  # in the order of the wanted list
    end: tuple[str, ...]


def plan_changes(wanted: Iterable[ProcessSpec], running: Mapping[str, tuple[str, ...]]) -> Changes:
    """``running`` maps names to commands. One whose command is another now is ended; it starts when it has."""
    specs = {spec.name: spec for spec in wanted}
    end = tuple(name for name, command in running.items() if name not in specs or specs[name].command != command)
    start = tuple(spec for spec in specs.values() if spec.name not in running)
    return Changes(start, end)
