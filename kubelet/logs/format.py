"""One line of a CRI log: ``<RFC3339Nano> stdout|stderr F|P <text>``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogEntry:
    """``content`` carries the newline that the container wrote; a partial piece has none."""

    timestamp: str
    stream: str
    partial: bool
    content: bytes


def parse_line(line: bytes) -> LogEntry | None:
    """None for what is no complete log line (the first one after a seek, a torn last one)."""
    parts = line.rstrip(b"\n").split(b" ", 3)
    if len(parts) < 3 or parts[1] not in (b"stdout", b"stderr"):
        return None
    partial = parts[2].split(b":")[0] == b"P"
    content = parts[3] if len(parts) == 4 else b""
    return LogEntry(
        parts[0].decode(errors="replace"), parts[1].decode(), partial, content if partial else content + b"\n"
    )
