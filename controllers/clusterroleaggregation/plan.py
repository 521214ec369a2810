"""The rules of an aggregated ClusterRole: those of every role its selectors pick, in the order of names. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from machinery.meta.objects import labels_of
from machinery.meta.selectors import label_selector_from_dict

Object = dict[str, Any]


def aggregate(role: Object, roles: Iterable[Object]) -> list[Object]:
    """A role selected twice counts once; equal rules are not repeated."""
    selectors = [
        label_selector_from_dict(item) for item in (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or ()
    ]  # fmt: skip
    name = role["metadata"]["name"]
    rules: list[Object] = []
    ordered = sorted(roles, key=lambda item: item["metadata"]["name"])
    for selector in selectors:
        for other in ordered:
            if other["metadata"]["name"] == name or not selector.matches(labels_of(other)):
                continue
            rules += [rule for rule in other.get("rules") or () if rule not in rules]
    return rules
