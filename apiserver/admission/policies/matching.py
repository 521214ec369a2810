"""Does a policy, or a binding, want this write, and as which version of the resource? Pure but for the namespaces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from apiserver.admission.interface import AdmissionRequest
from apiserver.admission.webhooks.configuration import Rule
from apiserver.admission.webhooks.matching import equivalents
from machinery.api.kinds import Kind
from machinery.api.table import KindTable
from machinery.meta.errors import not_found
from machinery.meta.selectors import LabelSelector, label_selector_from_dict

Object = dict[str, Any]
NamespaceLabels = Callable[[str], Mapping[str, str] | None]


@dataclass(frozen=True, slots=True)
class NamedRule:
    rule: Rule
    names: frozenset[str]

    def matches(self, request: AdmissionRequest, kind: Kind) -> bool:
        return (not self.names or request.name in self.names) and self.rule.matches(
            request.operation, kind.group, kind.version, kind.plural, request.subresource, cluster=not kind.namespaced
        )


@dataclass(frozen=True, slots=True)
class Constraints:
    """``rules`` empty means every resource, as a binding may say."""

    rules: tuple[NamedRule, ...]
    excluded: tuple[NamedRule, ...]
    namespaces: LabelSelector
    objects: LabelSelector
    equivalent: bool

    @classmethod
    def read(cls, spec: Object | None) -> Constraints:
        spec = spec or {}
        return cls(
            tuple(map(_rule, spec.get("resourceRules") or ())), tuple(map(_rule, spec.get("excludeResourceRules") or ())),
            label_selector_from_dict(spec.get("namespaceSelector") or {}),
            label_selector_from_dict(spec.get("objectSelector") or {}), spec.get("matchPolicy") != "Exact",
        )  # fmt: skip

    def match(self, request: AdmissionRequest, kinds: KindTable, labels_of: NamespaceLabels) -> Kind | None:
        """The row that was meant; None when the write is not wanted."""
        kind = kinds.by_resource(request.group, request.version, request.resource)
        if kind is None:
            return None
        rows = [kind, *(equivalents(kind, kinds) if self.equivalent else ())]
        if any(rule.matches(request, row) for rule in self.excluded for row in rows):
            return None
        found = kind
        if self.rules:
            meant = next((row for row in rows if any(rule.matches(request, row) for rule in self.rules)), None)
            if meant is None:
                return None
            found = meant
        if not self._wants_namespace(request, labels_of) or not self._wants_object(request):
            return None
        return found

    def _wants_namespace(self, request: AdmissionRequest, labels_of: NamespaceLabels) -> bool:
        if self.namespaces.empty:
            return True
        is_namespace = request.group == "" and request.resource == "namespaces"
        if not request.namespace and not is_namespace:
            return True
        if is_namespace and not request.subresource and request.operation in ("CREATE", "UPDATE"):
            return self.namespaces.matches(((request.obj or {}).get("metadata") or {}).get("labels"))
        name = request.namespace or request.name
        labels = labels_of(name)
        if labels is None:
            raise not_found("", "namespaces", name)
        return self.namespaces.matches(labels)

    def _wants_object(self, request: AdmissionRequest) -> bool:
        """The old object counts as well: an update cannot slip away by taking off its labels."""
        if self.objects.empty:
            return True
        return any(
            self.objects.matches((obj.get("metadata") or {}).get("labels"))
            for obj in (request.obj, request.old) if obj is not None
        )  # fmt: skip


def _rule(rule: Object) -> NamedRule:
    made = Rule(
        frozenset(rule.get("operations") or ()), frozenset(rule.get("apiGroups") or ()),
        frozenset(rule.get("apiVersions") or ()), frozenset(rule.get("resources") or ()), rule.get("scope") or "*",
    )  # fmt: skip
    return NamedRule(made, frozenset(rule.get("resourceNames") or ()))
