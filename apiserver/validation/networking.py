"""Rules to come."""

from apiserver.validation.rules import Rules

RULES: dict[tuple[str, str], Rules] = {}
