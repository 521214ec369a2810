"""Which resources a server has, and which of them a typed word means.

The server's aggregated discovery answers both questions in two requests; `deploy`, `deployments.apps`, `po,svc` and
`all` are resolved against it exactly as kubectl does, custom resources included.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cli.errors import CommandError
from machinery.client import Client

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@dataclass(frozen=True)
class Resource:
    gv: str
    plural: str
    singular: str
    kind: str
    namespaced: bool
    short_names: tuple[str, ...]
    categories: tuple[str, ...]
    verbs: frozenset[str]
    subresources: frozenset[str]

    @property
    def group(self) -> str:
        return self.gv.rpartition("/")[0]

    @property
    def label(self) -> str:
        """The word before the slash in kubectl's messages: `pod`, `deployment.apps`."""
        return f"{self.singular}.{self.group}" if self.group else self.singular

    @property
    def full_name(self) -> str:
        """The word in the server's messages: `pods`, `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


class Resources:
    def __init__(self, found: Iterable[Resource]) -> None:
        self.all = list(found)

    def find(self, word: str) -> Resource:
        """A plural, singular, kind or short name, perhaps with `.group` or `.version.group`."""
        name, _, rest = word.lower().partition(".")
        matches = [r for r in self.all if name in (r.plural, r.singular, r.kind.lower(), *r.short_names)]
        if rest:
            matches = [r for r in matches if rest in (r.group, r.gv.rpartition("/")[2] + "." + r.group)]
        if not matches:
            raise CommandError(f'error: the server doesn\'t have a resource type "{word}"')
        return matches[0]

    def find_list(self, words: str) -> list[Resource]:
        """`pods,services`, or a category like `all`."""
        found: list[Resource] = []
        for word in words.split(","):
            in_category = [r for r in self.all if word in r.categories and "list" in r.verbs]
            found += in_category or [self.find(word)]
        return list(dict.fromkeys(found))

    def of_object(self, obj: dict[str, Any]) -> Resource:
        gv, kind = obj.get("apiVersion", ""), obj.get("kind", "")
        for resource in self.all:
            if resource.kind == kind and resource.gv == gv:
                return resource
        raise CommandError(
            f'error: resource mapping not found for name: "{obj.get("metadata", {}).get("name", "")}" namespace: '
            f'"{obj.get("metadata", {}).get("namespace", "")}": no matches for kind "{kind}" in version "{gv}"\n'
            f"ensure CRDs are installed first"
        )


async def fetch_resources(client: Client) -> Resources:
    answers = await asyncio.gather(
        client.request("GET", "/api", headers={"Accept": AGGREGATED}),
        client.request("GET", "/apis", headers={"Accept": AGGREGATED}),
    )
    return Resources(resource for answer in answers for resource in parse_discovery(answer.json()))


def parse_discovery(document: dict[str, Any]) -> list[Resource]:
    """Every version of every group, the preferred one first: a bare word means that one."""
    found = []
    for group in document.get("items", ()):
        name = group.get("metadata", {}).get("name", "")
        for version in group.get("versions", ()):
            gv = f"{name}/{version['version']}" if name else version["version"]
            found += [_resource(gv, item) for item in version.get("resources", ())]
    return found


def _resource(gv: str, item: dict[str, Any]) -> Resource:
    return Resource(
        gv=gv,
        plural=item["resource"],
        singular=item.get("singularResource") or item["responseKind"]["kind"].lower(),
        kind=item["responseKind"]["kind"],
        namespaced=item.get("scope") == "Namespaced",
        short_names=tuple(item.get("shortNames") or ()),
        categories=tuple(item.get("categories") or ()),
        verbs=frozenset(item.get("verbs") or ()),
        subresources=frozenset(sub["subresource"] for sub in item.get("subresources") or ()),
    )
