"""Reading container logs: the files the runtime writes, cut to what was asked, followed across rotation.

``tailLines`` and ``sinceTime`` are found by reading backwards from the end in blocks, so that the last lines of a large
file cost as much as those of a small one. Source: the options of PodLogOptions as upstream's kubelet reads them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from kubelet.logs.format import LogEntry, parse_line
from machinery.meta.objects import parse_time

BLOCK_BYTES = 64 * 1024
POLL_SECONDS = 0.2


class BadLogOptions(ValueError):
    """The query does not make sense; the text says which parameter."""


@dataclass(frozen=True, slots=True)
class LogOptions:
    follow: bool = False
    timestamps: bool = False
    since: datetime | None = None
    tail_lines: int | None = None
    limit_bytes: int | None = None
    previous: bool = False
    stream: str = "All"

    @classmethod
    def from_query(cls, query: Mapping[str, str], now: datetime) -> LogOptions:
        """From the parameters of ``/containerLogs``. Raises BadLogOptions."""
        since = None
        if query.get("sinceTime"):
            try:
                since = parse_time(query["sinceTime"])
            except ValueError as error:
                raise BadLogOptions(f"invalid sinceTime: {error}") from error
        elif query.get("sinceSeconds"):
            since = now - timedelta(seconds=_number(query, "sinceSeconds") or 0)
        return cls(
            follow=_truth(query, "follow"), timestamps=_truth(query, "timestamps"), since=since,
            tail_lines=_number(query, "tailLines"), limit_bytes=_number(query, "limitBytes"),
            previous=_truth(query, "previous"), stream=query.get("stream") or "All",
        )  # fmt: skip


def _truth(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "").lower() in ("true", "1")


def _number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if not text:
        return None
    try:
        number = int(text)
    except ValueError:
        raise BadLogOptions(f"invalid {name}: {text!r} is not a number") from None
    if number < 0:
        raise BadLogOptions(f"invalid {name}: must not be negative")
    return number


def tail_offset(path: Path, lines: int) -> int:
    """Where the last ``lines`` whole log entries begin. Partial pieces belong to the entry that completes them."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        if lines == 0:
            return end
        position, found, buffer = end, 0, b""
        while position > 0:
            size = min(BLOCK_BYTES, position)
            position -= size
            file.seek(position)
            buffer = file.read(size) + buffer
            starts = [0] if position == 0 else []
            starts += [index + 1 for index, byte in enumerate(buffer) if byte == 10 and index + 1 < len(buffer)]
            found = 0
            for start in reversed(starts):
                stop = buffer.find(b"\n", start)
                entry = parse_line(buffer[start : stop if stop >= 0 else len(buffer)])
                if entry is None or entry.partial:
                    continue
                found += 1
                if found > lines:
                    after = buffer.index(b"\n", start) + 1
                    return position + after
    return 0


async def read_log(path: Path, options: LogOptions, *, running: asyncio.Event | None = None) -> AsyncIterator[bytes]:
    """Pieces of text to send. With ``follow`` it goes on until ``running`` is set to ended (an Event that is set when
    the container has ended) and everything has been read; a rotated file is followed to its successor."""
    left = options.limit_bytes
    offset = tail_offset(path, options.tail_lines) if options.tail_lines is not None else 0
    since = options.since
    rest = b""
    partial = False
    file = path.open("rb")
    inode = path.stat().st_ino
    try:
        file.seek(offset)
        while True:
            ended = running is not None and running.is_set()
            block = file.read(BLOCK_BYTES)
            if block:
                *lines, rest = (rest + block).split(b"\n")
                out = []
                for line in lines:
                    entry = parse_line(line)
                    if entry is None or not _wanted(entry, since, options.stream):
                        continue
                    text = entry.content
                    if options.timestamps and not partial:
                        text = entry.timestamp.encode() + b" " + text
                    partial = entry.partial
                    out.append(text)
                piece = b"".join(out)
                if left is not None:
                    piece = piece[:left]
                    left -= len(piece)
                if piece:
                    yield piece
                if left is not None and left <= 0:
                    return
                continue
            if not options.follow or running is None:
                return
            fresh = _rotated(path, inode)
            if fresh is not None:
                file.close()
                file, inode, rest = path.open("rb"), fresh, b""
                continue
            if ended:
                return
            await asyncio.sleep(POLL_SECONDS)
    finally:
        file.close()


def _wanted(entry: LogEntry, since: datetime | None, stream: str) -> bool:
    if stream != "All" and entry.stream != stream.lower():
        return False
    if since is None:
        return True
    try:
        return parse_time(entry.timestamp) >= since
    except ValueError:
        return True


def _rotated(path: Path, inode: int) -> int | None:
    """The inode of a new file in the old one's place, or None."""
    try:
        current = path.stat().st_ino
    except FileNotFoundError:
        return None
    return current if current != inode else None
