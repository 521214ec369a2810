"""What resources the server has, in one place: the garbage collector, namespaces and quotas all ask.

Two requests (aggregated discovery) instead of one a group; a server that does not speak it is asked the long way. Only
the preferred version of a resource is kept: every object is then seen once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from machinery.client import Client
from machinery.meta.errors import ApiError

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


@dataclass(frozen=True)
class Resource:
    gv: str
    plural: str
    kind: str
    namespaced: bool
    verbs: frozenset[str]

    @property
    def group(self) -> str:
        return self.gv.rpartition("/")[0]

    @property
    def group_resource(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def can(self, *verbs: str) -> bool:
        return self.verbs.issuperset(verbs)


@dataclass(frozen=True)
class Discovered:
    """``failed``: group-versions whose server did not answer; what they hold is unknown, not absent."""

    resources: tuple[Resource, ...]
    failed: tuple[str, ...] = ()
    versions: tuple[Resource, ...] = ()
    """All versions, for looking up the kind an owner reference names."""

    def by_kind(self, api_version: str, kind: str) -> Resource | None:
        for resource in self.versions:
            if resource.gv == api_version and resource.kind == kind:
                return resource
        return None


def parse_aggregated(document: dict[str, Any]) -> tuple[list[Resource], list[Resource], list[str]]:
    """(preferred, all versions, failed group-versions) of one APIGroupDiscoveryList."""
    preferred: list[Resource] = []
    versions: list[Resource] = []
    failed: list[str] = []
    for group in document.get("items") or ():
        name = group["metadata"].get("name", "")
        seen: set[str] = set()
        for version in group.get("versions") or ():
            gv = f"{name}/{version['version']}" if name else version["version"]
            if version.get("freshness") == "Stale":
                failed.append(gv)
            for item in version.get("resources") or ():
                kind = (item.get("responseKind") or {}).get("kind", "")
                resource = Resource(
                    gv, item["resource"], kind, item.get("scope") == "Namespaced", frozenset(item.get("verbs") or ())
                )
                versions.append(resource)
                if resource.plural not in seen:
                    seen.add(resource.plural)
                    preferred.append(resource)
    return preferred, versions, failed


def parse_list(document: dict[str, Any]) -> list[Resource]:
    """The resources of one APIResourceList, without subresources."""
    gv = document["groupVersion"]
    return [
        Resource(gv, item["name"], item["kind"], bool(item.get("namespaced")), frozenset(item.get("verbs") or ()))
        for item in document.get("resources") or () if "/" not in item["name"]
    ]  # fmt: skip


async def fetch_discovery(client: Client) -> Discovered:
    preferred: list[Resource] = []
    versions: list[Resource] = []
    failed: list[str] = []
    for path in ("/api", "/apis"):
        document = (await client.request("GET", path, headers={"Accept": AGGREGATED})).json()
        if document.get("kind") == "APIGroupDiscoveryList":
            some, every, bad = parse_aggregated(document)
        else:
            some, every, bad = await _fetch_lists(client, document)
        preferred += some
        versions += every
        failed += bad
    return Discovered(tuple(preferred), tuple(failed), tuple(versions))


async def _fetch_lists(client: Client, document: dict[str, Any]) -> tuple[list[Resource], list[Resource], list[str]]:
    preferred: list[Resource] = []
    versions: list[Resource] = []
    failed: list[str] = []
    if document.get("kind") == "APIVersions":
        groups: Iterable[list[str]] = [list(document.get("versions") or ())]
    else:
        groups = [[version["groupVersion"] for version in group["versions"]] for group in document.get("groups") or ()]
    for group in groups:
        seen: set[str] = set()
        for gv in group:
            try:
                found = parse_list((await client.request("GET", f"/{'apis' if '/' in gv else 'api'}/{gv}")).json())
            except ApiError:
                failed.append(gv)
                continue
            versions += found
            preferred += [resource for resource in found if resource.plural not in seen]
            seen |= {resource.plural for resource in found}
    return preferred, versions, failed
