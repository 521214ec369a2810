"""Say what is being done while it is being done: a spinner for a person, plain lines for a log.

Everything goes to standard error, so that a command's standard output stays its result.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, TextIO


class Progress:
    """``step`` replaces what is shown as going on; ``done`` leaves a line with the time since the last one."""

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._since = self._began = time.monotonic()
        self._status: Any = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def step(self, text: str) -> None:
        if self._quiet or not self._stream.isatty():
            return
        if self._status is None:
            # Imported here: a script that reads our output does not pay for a spinner.
            from rich.console import Console

            self._status = Console(file=self._stream).status(text)
            self._status.start()
        else:
            self._status.update(text)

    def done(self, text: str) -> None:
        now = time.monotonic()
        took, self._since = now - self._since, now
        if not self._quiet:
            self._line(f"{text}  ({took:.1f} s)", mark="✓ ")

    def say(self, text: str) -> None:
        if not self._quiet:
            self._line(text)

    @property
    def elapsed_seconds(self) -> float:
        return time.monotonic() - self._began

    def _line(self, text: str, mark: str = "") -> None:
        if self._status is None:
            print(text, file=self._stream, flush=True)
        else:
            self._status.console.print(f"{mark}{text}", highlight=False, markup=False, style="green" if mark else None)

    def close(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
