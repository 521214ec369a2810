"""Discovery documents with the groups of other servers in their places. Pure.

Order is that of an aggregation layer: groups by priority, then name; versions by their priority, then as versions sort.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from apiserver.aggregation.registrations import Remote
from machinery.api import discovery
from machinery.api.table import KindTable, version_sort_key

Doc = dict[str, Any]


def _groups(kinds: KindTable, remotes: Iterable[Remote]) -> dict[str, list[Remote]]:
    by_group: dict[str, list[Remote]] = {}
    for remote in remotes:
        by_group.setdefault(remote.group, []).append(remote)
    return by_group


def group_list(kinds: KindTable, remotes: list[Remote]) -> Doc:
    doc = discovery.api_group_list(kinds)
    theirs = _groups(kinds, remotes)
    groups = {each["name"]: each for each in doc["groups"]}
    for name in theirs:
        merged = group(kinds, name, remotes)
        if merged is not None:
            groups[name] = {key: value for key, value in merged.items() if key not in ("kind", "apiVersion")}
    ordered = sorted(groups, key=lambda name: _group_order(kinds, name, theirs.get(name, [])))
    return {**doc, "groups": [groups[name] for name in ordered]}


def _group_order(kinds: KindTable, name: str, theirs: list[Remote]) -> tuple[int, str]:
    known = [each.group_priority for each in theirs]
    if kinds.versions(name):
        known.append(kinds.group_priority(name))
    return -max(known), name


def group(kinds: KindTable, name: str, remotes: list[Remote]) -> Doc | None:
    """``/apis/NAME``; None when nobody serves it."""
    theirs = {each.version: each for each in remotes if each.group == name and each.available}
    versions = _versions(kinds, name, theirs)
    if not versions:
        return None
    entries = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"kind": "APIGroup", "apiVersion": "v1", "name": name, "versions": entries, "preferredVersion": entries[0]}


def _versions(kinds: KindTable, name: str, theirs: dict[str, Remote]) -> list[str]:
    ours = kinds.versions(name)

    def order(version: str) -> tuple[Any, ...]:
        remote = theirs.get(version)
        return (-(remote.version_priority if remote is not None else 15), *version_sort_key(version))

    return sorted({*ours, *theirs}, key=order) if theirs else ours


def aggregated(kinds: KindTable, remotes: list[Remote]) -> Doc:
    """``/apis`` in its aggregated form. A version whose server is away is shown stale, as it was last."""
    doc = discovery.aggregated_groups(kinds)
    theirs = _groups(kinds, remotes)
    items = {each["metadata"]["name"]: each for each in doc["items"]}
    for name, members in theirs.items():
        ours = {each["version"]: each for each in items.get(name, {}).get("versions", ())}
        shown = ours | {each.version: _version(each) for each in members if each.resources or each.available}
        order = _versions(kinds, name, {each.version: each for each in members if each.version in shown})
        if shown:
            items[name] = {
                "metadata": {"name": name}, "versions": [shown[version] for version in order if version in shown],
            }  # fmt: skip
    ordered = sorted(items, key=lambda name: _group_order(kinds, name, theirs.get(name, [])))
    return {**doc, "items": [items[name] for name in ordered]}


def _version(remote: Remote) -> Doc:
    return {
        "version": remote.version, "resources": aggregated_resources(remote),
        "freshness": "Current" if remote.available else "Stale",
    }  # fmt: skip


def aggregated_resources(remote: Remote) -> list[Doc]:
    """An APIResourceList's lines in the aggregated form: subresources go under their resource."""
    found: dict[str, Doc] = {}
    for each in remote.resources:
        resource, _, sub = each["name"].partition("/")
        kind = {
            "group": each.get("group") or remote.group, "version": each.get("version") or remote.version,
            "kind": each["kind"],
        }  # fmt: skip
        if sub:
            parent = found.get(resource)
            if parent is not None:
                parent.setdefault("subresources", []).append(
                    {"subresource": sub, "responseKind": kind, "verbs": each.get("verbs") or []}
                )
            continue
        doc: Doc = {
            "resource": resource, "responseKind": kind, "scope": "Namespaced" if each.get("namespaced") else "Cluster",
            "singularResource": each.get("singularName") or "", "verbs": each.get("verbs") or [],
        }  # fmt: skip
        for key in ("shortNames", "categories"):
            if each.get(key):
                doc[key] = each[key]
        found[resource] = doc
    return list(found.values())
