"""How a namespace ends: what is deleted in which order, and the conditions that tell what holds it up. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from controllers.discovery import Resource
from machinery.meta.conditions import get_condition
from machinery.meta.objects import format_time

Object = dict[str, Any]

FINALIZER = "kubernetes"

#: type -> (bad reason, (good reason, good message)); the order is the order of the conditions in the status.
CONDITIONS = {
    "NamespaceDeletionDiscoveryFailure": ("DiscoveryFailed", ("ResourcesDiscovered",
                                          "All resources successfully discovered")),
    "NamespaceDeletionGroupVersionParsingFailure": ("GroupVersionParsingFailed", ("ParsedGroupVersions",
                                                    "All legacy kube types successfully parsed")),
    "NamespaceDeletionContentFailure": ("ContentDeletionFailed", ("ContentDeleted",
                                        "All content successfully deleted, may be waiting on finalization")),
    "NamespaceContentRemaining": ("SomeResourcesRemain", ("ContentRemoved", "All content successfully removed")),
    "NamespaceFinalizersRemaining": ("SomeFinalizersRemain", ("ContentHasNoFinalizers",
                                     "All content-preserving finalizers finished")),
}  # fmt: skip


@dataclass
class Remains:
    """What a round of deletion found. ``counts`` by ``resource.group`` (with a trailing dot for the core group)."""

    counts: dict[str, int] = field(default_factory=dict)
    finalizers: dict[str, int] = field(default_factory=dict)
    discovery_errors: list[str] = field(default_factory=list)
    deletion_errors: list[str] = field(default_factory=list)

    @property
    def nothing_left(self) -> bool:
        return not self.counts and not self.discovery_errors and not self.deletion_errors


def deletable(resources: Sequence[Resource]) -> list[Resource]:
    """Namespaced things, pods first: what a pod uses must outlive it."""
    found = [item for item in resources if item.namespaced and item.can("delete", "list")]
    return sorted(found, key=lambda item: (item.gv, item.plural) != ("v1", "pods"))


def display_name(resource: Resource) -> str:
    return f"{resource.plural}.{resource.group}"


def messages(remains: Remains) -> Mapping[str, str]:
    """The texts of the conditions that are true."""
    found: dict[str, str] = {}
    if remains.discovery_errors:
        joined = "; ".join(remains.discovery_errors)
        found["NamespaceDeletionDiscoveryFailure"] = (
            f"Discovery failed for some groups, {len(remains.discovery_errors)} failing: {joined}"
        )
    if remains.deletion_errors:
        joined = "; ".join(sorted(remains.deletion_errors))
        found["NamespaceDeletionContentFailure"] = (
            f"Failed to delete all resource types, {len(remains.deletion_errors)} remaining: {joined}"
        )
    if remains.counts:
        texts = [f"{name} has {count} resource instances" for name, count in sorted(remains.counts.items())]
        found["NamespaceContentRemaining"] = f"Some resources are remaining: {', '.join(texts)}"
    if remains.finalizers:
        texts = [f"{name} in {count} resource instances" for name, count in sorted(remains.finalizers.items())]
        joined = ", ".join(texts)
        found["NamespaceFinalizersRemaining"] = f"Some content in the namespace has finalizers remaining: {joined}"
    return found


def with_conditions(conditions: Sequence[Object], remains: Remains, now: datetime) -> list[Object]:
    """All five conditions, in order; a transition time moves only when the status does."""
    bad = messages(remains)
    result = list(conditions)
    for type_, (bad_reason, (good_reason, good_message)) in CONDITIONS.items():
        status = "True" if type_ in bad else "False"
        made = {
            "type": type_, "status": status, "lastTransitionTime": format_time(now),
            "reason": bad_reason if type_ in bad else good_reason, "message": bad.get(type_, good_message),
        }  # fmt: skip
        current = get_condition(result, type_)
        if current is None:
            result.append(made)
            continue
        if current["status"] == status:
            made["lastTransitionTime"] = current.get("lastTransitionTime", made["lastTransitionTime"])
        result = [made if item is current else item for item in result]
    return result


def finalized(namespace: Object) -> Object:
    """Without our finalizer."""
    left = [name for name in namespace["spec"].get("finalizers") or () if name != FINALIZER]
    return {**namespace, "spec": {**namespace["spec"], "finalizers": left}}
