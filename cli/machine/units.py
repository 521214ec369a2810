"""systemd units: written from deploy/systemd, enabled and started; and all of it undone."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from cli.errors import CommandError

UNITS = Path("/etc/systemd/system")
TEMPLATES = Path(__file__).resolve().parents[2] / "deploy" / "systemd"


def unit_name(role: str) -> str:
    return f"navarch-{role}.service"


def render_unit(template: str, command: Sequence[str]) -> str:
    """Pure. `%` begins a specifier in a unit, so it is doubled."""
    return template.replace("@EXEC@", shlex.join(command).replace("%", "%%"))


def install(role: str, command: Sequence[str], *, units: Path = UNITS) -> Path:
    _require_systemd()
    path = units / unit_name(role)
    path.write_text(render_unit((TEMPLATES / unit_name(role)).read_text(), command))
    _systemctl("daemon-reload")
    _systemctl("enable", "--quiet", unit_name(role))
    _systemctl("restart", unit_name(role))
    return path


def uninstall(role: str, *, units: Path = UNITS) -> bool:
    """False when it was not installed."""
    path = units / unit_name(role)
    if not path.exists():
        return False
    _require_systemd()
    _systemctl("disable", "--quiet", "--now", unit_name(role))
    path.unlink()
    _systemctl("daemon-reload")
    return True


def _require_systemd() -> None:
    if not Path("/run/systemd/system").is_dir():
        raise CommandError("systemd does not run here: start the command without --install, under your own supervision")


def _systemctl(*arguments: str) -> None:
    result = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False)
    if result.returncode:
        complaint = (result.stderr or result.stdout).strip().splitlines()
        raise CommandError(f"systemctl {' '.join(arguments)}: {complaint[0] if complaint else 'failed'}")
