"""``$(VAR)`` in commands, arguments, environment values and sub-paths.

``$$`` is an escaped dollar sign; a reference to something unknown stays as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")


def expand(text: str, variables: Mapping[str, str]) -> str:
    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        if name is None:
            return "$"
        return variables.get(name, match.group(0))

    return _REFERENCE.sub(replace, text)


def unresolved(text: str, variables: Mapping[str, str]) -> list[str]:
    """Names that ``text`` refers to and nobody knows."""
    return [name for name in _REFERENCE.findall(text) if name and name not in variables]
