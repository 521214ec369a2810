"""What follows a verb: `pods`, `pod web db`, `deploy/web svc/web`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cli.errors import CommandError


@dataclass(frozen=True)
class Target:
    """A word for one or more types, and a name; without a name all objects of the types."""

    types: str
    name: str | None = None


def parse_targets(words: Sequence[str]) -> list[Target]:
    if not words:
        raise CommandError("error: You must specify the type of resource to get, as in `pods` or `deployment/web`", 1)
    if any("/" in word for word in words):
        if not all("/" in word for word in words):
            raise CommandError("error: there is no need to specify a resource type as a separate argument when passing "
                               "arguments in resource/name form (e.g. 'navarch get resource/<resource_name>' instead "
                               "of 'navarch get resource resource/<resource_name>'")  # fmt: skip
        return [_pair(word) for word in words]
    types, *names = words
    return [Target(types, name) for name in names] or [Target(types)]


def _pair(word: str) -> Target:
    types, _, name = word.partition("/")
    if not types or not name or "/" in name:
        raise CommandError(f'error: arguments in resource/name form must have a single resource and name: "{word}"')
    return Target(types, name)
