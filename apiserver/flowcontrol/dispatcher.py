"""The configuration in force: schemas and levels as their objects say, and what each kind of request was told.

Classifying is a walk over a dozen schemas; its answer depends on who asks for what alone and is remembered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from apiserver.auth.interface import User
from apiserver.flowcontrol.bootstrap import GROUP, flow_schemas, priority_levels
from apiserver.flowcontrol.level import Limits, PriorityLevel, plan_limits
from apiserver.flowcontrol.matching import Schema, compile_schemas
from apiserver.registry.interface import ObjectReader
from apiserver.server.request_info import RequestInfo

Object = dict[str, Any]
MANDATORY = frozenset(("exempt", "catch-all"))
MOST_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class Classified:
    schema: Schema
    level: PriorityLevel
    flow: str


class Dispatcher:
    def __init__(self, reader: ObjectReader) -> None:
        self._reader = reader
        self._levels: dict[str, PriorityLevel] = {}
        self._schemas: list[Schema] = []
        self._remembered: dict[tuple[Any, ...], Classified] = {}
        self._stale = True
        for resource in ("flowschemas", "prioritylevelconfigurations"):
            reader.on_change(GROUP, resource, lambda change, obj: self._forget())

    def _forget(self) -> None:
        self._stale = True

    def classify(self, user: User, info: RequestInfo) -> Classified:
        if self._stale:
            self._configure()
        key: tuple[Any, ...]
        if info.is_resource:
            key = (user.name, user.groups, info.verb, info.group, info.resource, info.subresource, info.namespace)
        else:
            key = (user.name, user.groups, info.verb, info.path)
        found = self._remembered.get(key)
        if found is None:
            if len(self._remembered) >= MOST_REMEMBERED:
                self._remembered.clear()
            found = self._remembered[key] = self._classify(user, info)
        return found

    def _classify(self, user: User, info: RequestInfo) -> Classified:
        schema = next((each for each in self._schemas if each.matches(user, info)), self._schemas[-1])
        return Classified(schema, self._levels[schema.level], f"{schema.name}/{schema.flow(user, info)}")

    def _configure(self) -> None:
        """Levels keep their seats and queues when their numbers change; those taken away drain by themselves."""
        self._stale = False
        levels = self._present("prioritylevelconfigurations", priority_levels())
        limits: dict[str, Limits] = plan_limits({name: obj["spec"] for name, obj in levels.items()})
        kept = {}
        for name, obj in levels.items():
            level = self._levels.get(name)
            if level is None:
                level = PriorityLevel(name, obj["metadata"].get("uid") or "", limits[name])
            else:
                level.uid, level.limits = obj["metadata"].get("uid") or "", limits[name]
                level.dispatch()
            kept[name] = level
        self._levels = kept
        schemas = self._present("flowschemas", flow_schemas())
        self._schemas = [each for each in compile_schemas(list(schemas.values())) if each.level in kept]
        self._remembered.clear()

    def _present(self, resource: str, builtin: list[Object]) -> dict[str, Object]:
        """What is stored, and of the mandatory objects also those that somebody has just deleted."""
        fixed = {obj["metadata"]["name"]: obj for obj in builtin if obj["metadata"]["name"] in MANDATORY}
        return fixed | {obj["metadata"]["name"]: obj for obj in self._reader.list(GROUP, resource)}
