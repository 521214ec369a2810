"""Does a PolicyRule match a request: pure, and compiled once per role so that a request costs set look-ups."""

from __future__ import annotations

from typing import Any

from apiserver.auth.interface import Attributes

Rule = dict[str, Any]


class CompiledRule:
    """A PolicyRule with its lists as sets. Slots and plain attributes: this is read on every request."""

    __slots__ = ("any_group", "any_resource", "any_verb", "groups", "names", "paths", "prefixes", "resources", "verbs")

    def __init__(self, rule: Rule) -> None:
        self.verbs = frozenset(rule.get("verbs") or ())
        self.groups = frozenset(rule.get("apiGroups") or ())
        self.resources = frozenset(rule.get("resources") or ())
        self.names = frozenset(rule.get("resourceNames") or ())
        urls = rule.get("nonResourceURLs") or ()
        self.paths = frozenset(urls)
        self.prefixes = tuple(url.rstrip("*") for url in urls if url.endswith("*"))
        self.any_verb = "*" in self.verbs
        self.any_group = "*" in self.groups
        self.any_resource = "*" in self.resources

    def matches(self, attributes: Attributes) -> bool:
        if not attributes.is_resource:
            return self.matches_path(attributes.verb, attributes.path)
        if not self.matches_kind(attributes):
            return False
        return not self.names or attributes.name in self.names

    def matches_kind(self, attributes: Attributes) -> bool:
        """All but the name."""
        if not (self.any_verb or attributes.verb in self.verbs):
            return False
        if not (self.any_group or attributes.api_group in self.groups):
            return False
        if self.any_resource:
            return True
        if not attributes.subresource:
            return attributes.resource in self.resources
        return (
            f"{attributes.resource}/{attributes.subresource}" in self.resources
            or f"*/{attributes.subresource}" in self.resources
        )

    def matches_path(self, verb: str, path: str) -> bool:
        if not (self.any_verb or verb in self.verbs):
            return False
        return path in self.paths or any(path.startswith(prefix) for prefix in self.prefixes)
