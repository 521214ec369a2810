"""APIServices that name a service, compiled; and what is known of their servers.

Whether a server may be asked is what the object's condition says, so that every API server of a cluster and everyone
who looks sees the same. What a server serves is learned when it is found to be there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from apiserver.registry.interface import ObjectReader
from machinery.meta.conditions import get_condition

Object = dict[str, Any]
GROUP, RESOURCE = "apiregistration.k8s.io", "apiservices"
DEFAULT_PORT = 443


@dataclass(slots=True)
class Remote:
    """A group-version that another server answers."""

    name: str
    group: str
    version: str
    namespace: str
    service: str
    port: int
    ca_bundle: str
    insecure: bool
    group_priority: int
    version_priority: int
    available: bool
    #: Its APIResourceList and the line of its OpenAPI index, as last heard.
    resources: list[Object] = field(default_factory=list)
    openapi: Object | None = None

    @property
    def host(self) -> str:
        return f"{self.service}.{self.namespace}.svc"


def compile_remote(obj: Object) -> Remote | None:
    spec = obj["spec"]
    service = spec.get("service")
    if service is None:
        return None
    condition = get_condition((obj.get("status") or {}).get("conditions") or [], "Available")
    return Remote(
        obj["metadata"]["name"], spec.get("group") or "", spec.get("version") or "", service.get("namespace") or "",
        service.get("name") or "", service.get("port") or DEFAULT_PORT, spec.get("caBundle") or "",
        bool(spec.get("insecureSkipTLSVerify")), spec.get("groupPriorityMinimum") or 0, spec.get("versionPriority") or 0,
        condition is not None and condition.get("status") == "True",
    )  # fmt: skip


class Registrations:
    """Follows APIServices. ``generation`` moves with every change that clients could see."""

    def __init__(self, reader: ObjectReader) -> None:
        self.generation = 0
        self._by_version: dict[tuple[str, str], Remote] = {}
        self._listeners: list[Callable[[], None]] = []
        self._asked: dict[str, tuple[Object, Object | None]] = {}
        reader.on_change(GROUP, RESOURCE, self._take)

    def _take(self, change: str, obj: Object) -> None:
        remote = compile_remote(obj)
        key = (obj["spec"].get("group") or "", obj["spec"].get("version") or "")
        old = self._by_version.pop(key, None)
        if remote is not None and change != "DELETED":
            if old is not None:
                remote.resources, remote.openapi = old.resources, old.openapi
            self._by_version[key] = remote
        self.generation += 1
        if self._is_new(change, obj):
            for listener in self._listeners:
                listener()

    def _is_new(self, change: str, obj: Object) -> bool:
        """Somebody else's change: conditions that we write ourselves are no reason to look again."""
        name = obj["metadata"]["name"]
        if change == "DELETED":
            self._asked.pop(name, None)
            return True
        asked = (obj["spec"], obj["metadata"].get("annotations"))
        if self._asked.get(name) == asked:
            return False
        self._asked[name] = asked
        return True

    def listen(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    def learned(self, remote: Remote, resources: list[Object], openapi: Object | None) -> None:
        if (remote.resources, remote.openapi) != (resources, openapi):
            remote.resources, remote.openapi = resources, openapi
            self.generation += 1

    def get(self, group: str, version: str) -> Remote | None:
        return self._by_version.get((group, version))

    def of_group(self, group: str) -> list[Remote]:
        return [each for each in self._by_version.values() if each.group == group]

    def __iter__(self) -> Any:
        return iter(list(self._by_version.values()))

    def __bool__(self) -> bool:
        return bool(self._by_version)
