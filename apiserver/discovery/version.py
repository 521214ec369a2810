"""``/version``: the Kubernetes release whose behaviour is served."""

from __future__ import annotations

import platform
import sys
from typing import Any

MAJOR, MINOR, PATCH = 1, 36, 2
GIT_VERSION = f"v{MAJOR}.{MINOR}.{PATCH}"


def version_document() -> dict[str, Any]:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return {
        "major": str(MAJOR), "minor": str(MINOR),
        "emulationMajor": str(MAJOR), "emulationMinor": str(MINOR),
        "minCompatibilityMajor": str(MAJOR), "minCompatibilityMinor": str(MINOR - 1),
        "gitVersion": GIT_VERSION, "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": f"python{sys.version_info.major}.{sys.version_info.minor}", "compiler": "cpython",
        "platform": f"linux/{machine}",
    }  # fmt: skip
