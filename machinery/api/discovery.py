"""Discovery documents, built from a table of kinds: the legacy ones, one a path, and the aggregated ones of v2.

All functions are pure and cheap (the table has some 70 rows); a server renders them once a table generation and keeps
the bytes with their ETag.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from machinery.api.kinds import Kind, Subresource
from machinery.api.table import KindTable

Doc = dict[str, Any]

#: Media type of the aggregated documents, as it is asked for and answered.
AGGREGATED_MEDIA_TYPE = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def api_versions(server_address: str) -> Doc:
    """``/api``."""
    address = {"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [address]}


def api_group_list(table: KindTable) -> Doc:
    """``/apis``."""
    groups = [_group(table, group) for group in table.groups() if group]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def api_group(table: KindTable, group: str) -> Doc | None:
    """``/apis/<group>``; None when nothing of it is served."""
    if not group or not table.versions(group):
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(table, group)}


def _group(table: KindTable, group: str) -> Doc:
    versions = [
        {"groupVersion": f"{group}/{version}", "version": version} for version in table.versions(group)
    ]  # fmt: skip
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def api_resource_list(table: KindTable, group: str, version: str) -> Doc | None:
    """``/api/v1`` and ``/apis/<group>/<version>``; None when nothing of it is served."""
    kinds = table.resources(group, version)
    if not kinds:
        return None
    resources: list[Doc] = []
    for kind in kinds:
        resources.append(_resource(kind))
        resources.extend(_subresource(kind, sub) for sub in kind.subresources)
    doc: Doc = {"kind": "APIResourceList"}
    if group:
        doc["apiVersion"] = "v1"
    return doc | {"groupVersion": kinds[0].api_version, "resources": resources}


def _resource(kind: Kind) -> Doc:
    doc: Doc = {
        "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced, "kind": kind.kind,
        "verbs": list(kind.verbs),
    }  # fmt: skip
    if kind.short_names:
        doc["shortNames"] = list(kind.short_names)
    if kind.categories:
        doc["categories"] = list(kind.categories)
    if kind.is_stored:
        doc["storageVersionHash"] = storage_version_hash(kind)
    return doc


def _subresource(kind: Kind, sub: Subresource) -> Doc:
    doc: Doc = {"name": f"{kind.plural}/{sub.name}", "singularName": "", "namespaced": kind.namespaced}
    if sub.version:
        doc |= {"group": sub.group, "version": sub.version}
    return doc | {"kind": sub.kind, "verbs": list(sub.verbs)}


def storage_version_hash(kind: Kind) -> str:
    """Changes when the stored form of a resource changes; equal for all versions of one resource."""
    group, version = kind.hub_version
    text = f"{group}/{version}/{kind.kind}"
    return base64.b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()


def aggregated_core(table: KindTable) -> Doc:
    """``/api`` in its aggregated form."""
    return _aggregated([_aggregated_group(table, "")] if table.versions("") else [])


def aggregated_groups(table: KindTable, stale: frozenset[str] = frozenset()) -> Doc:
    """``/apis`` in its aggregated form. ``stale`` holds ``group/version`` names whose server does not answer."""
    return _aggregated([_aggregated_group(table, group, stale) for group in table.groups() if group])


def _aggregated(items: list[Doc]) -> Doc:
    return {
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    }  # fmt: skip


def _aggregated_group(table: KindTable, group: str, stale: frozenset[str] = frozenset()) -> Doc:
    return {
        "metadata": {"name": group} if group else {},
        "versions": [
            {
                "version": version,
                "resources": [_aggregated_resource(kind) for kind in table.resources(group, version)],
                "freshness": "Stale" if f"{group}/{version}" in stale else "Current",
            }
            for version in table.versions(group)
        ],
    }


def _aggregated_resource(kind: Kind) -> Doc:
    doc: Doc = {
        "resource": kind.plural,
        "responseKind": _response_kind(kind, "", "", kind.kind),
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        doc["shortNames"] = list(kind.short_names)
    if kind.categories:
        doc["categories"] = list(kind.categories)
    if kind.subresources:
        doc["subresources"] = [
            {
                "subresource": sub.name,
                "responseKind": _response_kind(kind, sub.group, sub.version, sub.kind),
                "verbs": list(sub.verbs),
            }
            for sub in kind.subresources
        ]
    return doc


def _response_kind(kind: Kind, group: str, version: str, name: str) -> Doc:
    """Built-in kinds leave group and version empty where they are the document's own; custom resources name them."""
    if kind.custom and not version:
        group, version = kind.group, kind.version
    return {"group": group, "version": version, "kind": name}
