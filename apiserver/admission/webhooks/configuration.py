"""Webhook configurations, compiled once when they change: a write only compares strings and sets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from apiserver.registry.interface import ObjectReader
from machinery.meta.selectors import LabelSelector, label_selector_from_dict

Object = dict[str, Any]
GROUP = "admissionregistration.k8s.io"
DEFAULT_TIMEOUT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule with operations. ``*`` stands for all in every part; ``scope`` is Cluster, Namespaced or ``*``."""

    operations: frozenset[str]
    groups: frozenset[str]
    versions: frozenset[str]
    resources: frozenset[str]
    scope: str = "*"

    def matches(
        self, operation: str, group: str, version: str, resource: str, subresource: str, *, cluster: bool
    ) -> bool:
        return (
            ("*" in self.operations or operation in self.operations)
            and ("*" in self.groups or group in self.groups)
            and ("*" in self.versions or version in self.versions)
            and (self.scope == "*" or (self.scope == "Cluster") == cluster)
            and self._names(resource, subresource)
        )

    def _names(self, resource: str, subresource: str) -> bool:
        wanted = self.resources
        if subresource:
            return bool(wanted & {f"{resource}/{subresource}", f"{resource}/*", f"*/{subresource}", "*/*"})
        return bool(wanted & {resource, "*", "*/*"})


@dataclass(frozen=True, slots=True)
class Webhook:
    """``uid`` tells one webhook apart from the others over a request and its reinvocations."""

    configuration: str
    name: str
    uid: str
    client: Object
    rules: tuple[Rule, ...]
    namespaces: LabelSelector
    objects: LabelSelector
    conditions: tuple[str, ...] = ()
    equivalent: bool = True
    ignore_failures: bool = False
    side_effects: str = "None"
    timeout_seconds: int = DEFAULT_TIMEOUT_SECONDS
    reinvoke: bool = False
    #: Operations of all rules: most writes are turned away here.
    operations: frozenset[str] = field(default=frozenset())


def compile_configuration(obj: Object) -> list[Webhook]:
    name = obj["metadata"]["name"]
    return [_compile(name, index, hook) for index, hook in enumerate(obj.get("webhooks") or ())]


def _compile(configuration: str, index: int, hook: Object) -> Webhook:
    rules = tuple(
        Rule(
            frozenset(rule.get("operations") or ()), frozenset(rule.get("apiGroups") or ()),
            frozenset(rule.get("apiVersions") or ()), frozenset(rule.get("resources") or ()), rule.get("scope") or "*",
        )
        for rule in hook.get("rules") or ()
    )  # fmt: skip
    return Webhook(
        configuration, hook["name"], f"{configuration}/{hook['name']}/{index}", hook["clientConfig"], rules,
        label_selector_from_dict(hook.get("namespaceSelector") or {}),
        label_selector_from_dict(hook.get("objectSelector") or {}),
        tuple(each["expression"] for each in hook.get("matchConditions") or ()),
        equivalent=hook.get("matchPolicy") != "Exact",
        ignore_failures=hook.get("failurePolicy") == "Ignore",
        side_effects=hook.get("sideEffects") or "Unknown",
        timeout_seconds=hook.get("timeoutSeconds") or DEFAULT_TIMEOUT_SECONDS,
        reinvoke=hook.get("reinvocationPolicy") == "IfNeeded",
        operations=frozenset(word for rule in rules for word in rule.operations),
    )  # fmt: skip


class Configurations:
    """All webhooks of one kind of configuration, in the order of the configurations' names."""

    def __init__(
        self, reader: ObjectReader,
        resource: Literal["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
    ) -> None:
        self._by_name: dict[str, list[Webhook]] = {}
        self.hooks: tuple[Webhook, ...] = ()
        self._operations: frozenset[str] = frozenset()
        reader.on_change(GROUP, resource, self._take)

    def _take(self, change: str, obj: Object) -> None:
        name = obj["metadata"]["name"]
        if change == "DELETED":
            self._by_name.pop(name, None)
        else:
            self._by_name[name] = compile_configuration(obj)
        self.hooks = tuple(self._flat(sorted(self._by_name)))
        self._operations = frozenset(word for hook in self.hooks for word in hook.operations)

    def _flat(self, names: Iterable[str]) -> Sequence[Webhook]:
        return [hook for name in names for hook in self._by_name[name]]

    def want(self, operation: str) -> bool:
        return operation in self._operations or "*" in self._operations
