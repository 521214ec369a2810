"""What kubectl accepts on every verb, wherever it stands: identity flags, and booleans with a value.

Click knows the options of one command only, and flags without a value: so these are taken out, or rewritten, before it
looks. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

VALUED = ("--as", "--token", "--server", "--request-timeout", "-v", "--v")
SWITCHES = ("--insecure-skip-tls-verify",)
#: Booleans that people write with a value; those that are on by default have a `--no-` form.
BOOLEANS = {
    "--wait": "--no-wait", "--watch": "--no-watch", "--show-events": "--no-events", "--force": "", "--all": "",
    "--now": "", "--server-side": "", "--force-conflicts": "", "--ignore-not-found": "", "--no-headers": "",
    "--show-labels": "", "--follow": "", "--previous": "", "--timestamps": "", "--prefix": "", "--all-containers": "",
    "--all-namespaces": "", "--recursive": "", "--show-managed-fields": "", "--watch-only": "", "--stdin": "",
    "--tty": "", "--all-pods": "",
}  # fmt: skip


@dataclass(frozen=True)
class Globals:
    impersonate: str = ""
    token: str = ""
    server: str = ""
    insecure: bool = False


def split_globals(arguments: Sequence[str]) -> tuple[list[str], Globals]:
    """The other arguments, and what was said. After `--` nothing is ours."""
    kept: list[str] = []
    said: dict[str, str] = {}
    words = iter(arguments)
    for word in words:
        if word == "--":
            return [*kept, word, *words], _globals(said)
        name, equals, value = word.partition("=")
        if name in VALUED:
            said[name] = value if equals else next(words, "")
        elif name in SWITCHES:
            said[name] = value if equals else "true"
        elif name in BOOLEANS and equals and value in ("true", "false"):
            kept += [name] if value == "true" else [BOOLEANS[name]] if BOOLEANS[name] else []
        else:
            kept.append(word)
    return kept, _globals(said)


def _globals(said: dict[str, str]) -> Globals:
    insecure = said.get("--insecure-skip-tls-verify") == "true"
    return Globals(said.get("--as", ""), said.get("--token", ""), said.get("--server", ""), insecure)
