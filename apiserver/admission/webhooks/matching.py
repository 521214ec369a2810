"""Does a webhook want this write, and as which resource? Pure over the write, the table of kinds and the namespaces.

Admission that could lock itself out is never called: configurations of webhooks and policies are exempt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from apiserver.admission.interface import AdmissionRequest
from apiserver.admission.webhooks.configuration import GROUP, Rule, Webhook
from machinery.api.kinds import Kind
from machinery.api.table import KindTable
from machinery.meta.errors import ApiError, forbidden, not_found
from machinery.meta.selectors import LabelSelector

Object = dict[str, Any]
#: Labels of a namespace by name; None when there is none.
NamespaceLabels = Callable[[str], Mapping[str, str] | None]

EXEMPT = frozenset((
    "mutatingwebhookconfigurations", "validatingwebhookconfigurations", "validatingadmissionpolicies",
    "validatingadmissionpolicybindings", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Invocation:
    """A call to be made: the hook, and the row in whose form it wants to see the object."""

    hook: Webhook
    kind: Kind


def is_exempt(request: AdmissionRequest) -> bool:
    return request.group == GROUP and request.resource in EXEMPT


def match(
    hook: Webhook, request: AdmissionRequest, kinds: KindTable, namespace_labels: NamespaceLabels
) -> Invocation | None:
    kind = _matched_kind(hook, request, kinds)
    if kind is None or not _namespace_selected(hook.namespaces, request, namespace_labels):
        return None
    if not hook.objects.empty and not _object_selected(hook.objects, request):
        return None
    return Invocation(hook, kind)


def _matched_kind(hook: Webhook, request: AdmissionRequest, kinds: KindTable) -> Kind | None:
    kind = kinds.by_resource(request.group, request.version, request.resource)
    if kind is None:
        return None
    cluster = not kind.namespaced
    if any(_rule_matches(rule, request, kind, cluster) for rule in hook.rules):
        return kind
    if not hook.equivalent:
        return None
    for other in equivalents(kind, kinds):
        if any(_rule_matches(rule, request, other, cluster) for rule in hook.rules):
            return other
    return None


def _rule_matches(rule: Rule, request: AdmissionRequest, kind: Kind, cluster: bool) -> bool:
    return rule.matches(
        request.operation, kind.group, kind.version, kind.plural, request.subresource, cluster=cluster
    )  # fmt: skip


def equivalents(kind: Kind, kinds: KindTable) -> list[Kind]:
    """Other rows that show the same stored objects, best version first."""
    return [
        other for other in kinds
        if other is not kind and other.storage_resource == kind.storage_resource and other.is_stored
    ]  # fmt: skip


def _namespace_selected(selector: LabelSelector, request: AdmissionRequest, labels_of: NamespaceLabels) -> bool:
    if selector.empty:
        return True
    is_namespace = request.group == "" and request.resource == "namespaces"
    if not request.namespace and not is_namespace:
        return True  # objects of the cluster are not in any namespace that could be left out
    if is_namespace and not request.subresource and request.operation in ("CREATE", "UPDATE"):
        return selector.matches(((request.obj or {}).get("metadata") or {}).get("labels"))
    name = request.namespace or request.name
    labels = labels_of(name)
    if labels is None:
        raise not_found("", "namespaces", name)
    return selector.matches(labels)


def _object_selected(selector: LabelSelector, request: AdmissionRequest) -> bool:
    """An update may not slip away by taking off its labels: the old object counts as well."""
    known = (obj for obj in (request.obj, request.old) if obj is not None)
    return any(selector.matches((obj.get("metadata") or {}).get("labels")) for obj in known)


def refusal_of_condition(request: AdmissionRequest, why: str) -> ApiError:
    return forbidden(request.group, request.resource, request.name, why)
