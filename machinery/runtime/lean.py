"""Imported first by every daemon: keep out of memory what a daemon never uses.

structlog imports ``rich`` (and with it pygments, 4 MB) wherever it is installed, to draw tracebacks on terminals. A
daemon writes plain lines. Must run before the first import of structlog; never imported by the interactive commands,
which use ``rich`` themselves.
"""

from __future__ import annotations

import sys

sys.modules.setdefault("rich", None)  # type: ignore[arg-type]

