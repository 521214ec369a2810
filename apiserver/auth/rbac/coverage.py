"""Do the rules that someone holds cover the rules that they want to give: the arithmetic of privilege escalation.

Wanted rules are broken into the smallest ones (one verb, one group, one resource, one name); each must be covered by a
single held rule. What is not covered is put together again for the message, in the form people know.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from apiserver.auth.text import go_strings

Rule = dict[str, Any]


def break_down(rule: Rule) -> list[Rule]:
    """Rules with one verb, and one resource (with at most one name) or one path each."""
    parts: list[Rule] = []
    for group in rule.get("apiGroups") or ():
        for resource in rule.get("resources") or ():
            for verb in rule.get("verbs") or ():
                part = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
                names = rule.get("resourceNames") or ()
                parts += [{**part, "resourceNames": [name]} for name in names] if names else [part]
    for url in rule.get("nonResourceURLs") or ():
        parts += [{"nonResourceURLs": [url], "verbs": [verb]} for verb in rule.get("verbs") or ()]
    return parts


def missing_parts(held: Sequence[Rule], wanted: Iterable[Rule]) -> list[Rule]:
    return [part for rule in wanted for part in break_down(rule) if not any(_covers(owner, part) for owner in held)]


def uncovered_rules(held: Sequence[Rule], wanted: Iterable[Rule]) -> list[Rule]:
    """What has to be added to ``held`` for it to cover ``wanted``, compactly."""
    return compact(missing_parts(held, wanted))


def compact(parts: Iterable[Rule]) -> list[Rule]:
    """Parts of the same resource (and name) as one rule with all their verbs."""
    result: list[Rule] = []
    by_resource: dict[tuple[str, ...], Rule] = {}
    for part in parts:
        if "nonResourceURLs" in part:
            result.append(part)
            continue
        key = (part["apiGroups"][0], part["resources"][0], *part.get("resourceNames", ()))
        if (known := by_resource.get(key)) is None:
            by_resource[key] = {**part, "verbs": list(part["verbs"])}
        else:
            known["verbs"] += part["verbs"]
    return result + list(by_resource.values())


def describe(rule: Rule) -> str:
    names = (
        ("APIGroups", "apiGroups"),
        ("Resources", "resources"),
        ("NonResourceURLs", "nonResourceURLs"),
        ("ResourceNames", "resourceNames"),
        ("Verbs", "verbs"),
    )
    return "{" + ", ".join(f"{title}:{go_strings(rule[key])}" for title, key in names if rule.get(key)) + "}"


def _covers(owner: Rule, part: Rule) -> bool:
    if not _has(owner.get("verbs"), part["verbs"]):
        return False
    if "nonResourceURLs" in part:
        return _covers_path(owner.get("nonResourceURLs") or (), part["nonResourceURLs"][0])
    return (
        _has(owner.get("apiGroups"), part["apiGroups"])
        and _covers_resource(owner.get("resources") or (), part["resources"][0])
        and _covers_names(owner.get("resourceNames") or (), part.get("resourceNames") or ())
    )


def _has(held: Sequence[str] | None, wanted: Sequence[str]) -> bool:
    held = held or ()
    return "*" in held or all(item in held for item in wanted)


def _covers_resource(held: Sequence[str], wanted: str) -> bool:
    if "*" in held or wanted in held:
        return True
    _, slash, subresource = wanted.partition("/")
    return bool(slash) and f"*/{subresource}" in held


def _covers_names(held: Sequence[str], wanted: Sequence[str]) -> bool:
    # No names means all names, which only an owner without names covers.
    return not held or (bool(wanted) and all(name in held for name in wanted))


def _covers_path(held: Sequence[str], wanted: str) -> bool:
    return wanted in held or any(url.endswith("*") and wanted.startswith(url.rstrip("*")) for url in held)
