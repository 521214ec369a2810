"""What a container says about its end: from its message file, or from the tail of its log when it failed.

The agent mounts a file of its own at the container's `terminationMessagePath`; the path on the host travels in an
annotation, so that a message is found whoever started the container.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from kubelet.cri import names
from kubelet.logs.format import parse_line

MAX_FILE_BYTES = 4096
MAX_LOG_BYTES = 2048
MAX_LOG_LINES = 80


def read_termination_message(status: Any) -> str:
    """For an ended container's CRI status; empty when it said nothing."""
    annotations: Mapping[str, str] = status.annotations
    path = annotations.get(names.CONTAINER_MESSAGE_FILE)
    message = read_message_file(path) if path else ""
    fallback = annotations.get(names.CONTAINER_MESSAGE_POLICY) == "FallbackToLogsOnError"
    if not message and fallback and status.exit_code != 0 and status.log_path:
        message = read_log_tail(status.log_path)
    return message


def read_message_file(path: str) -> str:
    try:
        # The container may have replaced nothing here: the file is a mount. Still never follow a link.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    with os.fdopen(descriptor, "rb") as file:
        return file.read(MAX_FILE_BYTES).decode(errors="replace")


def read_log_tail(path: str) -> str:
    """The last 80 lines or 2 KiB of what the container printed, whichever is less."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - MAX_LOG_BYTES * 4, 0))
            raw = file.read()
    except OSError:
        return ""
    entries = [entry for line in raw.splitlines() if (entry := parse_line(line)) is not None]
    text = b"".join(entry.content for entry in entries)
    lines = text.splitlines(keepends=True)[-MAX_LOG_LINES:]
    return b"".join(lines)[-MAX_LOG_BYTES:].decode(errors="replace")

