"""Selectable fields: which field selectors a kind knows, and their values. Pure.

Two questions that must agree: ``check_field_selector`` (is the label accepted) and ``fields_of`` (what is its value).
``metadata.name`` and ``metadata.namespace`` exist for every kind and are answered by the cache itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from apiserver.registry.custom import CustomKind
from machinery.api.kinds import Kind
from machinery.meta.errors import bad_request
from machinery.meta.selectors import FieldSelector

Object = dict[str, Any]
Getter = Callable[[Object], str]

ALWAYS = ("metadata.name", "metadata.namespace")


def _at(*path: str, default: str = "") -> Getter:
    def get(obj: Object) -> str:
        value: Any = obj
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            return default
        return ("true" if value else "false") if isinstance(value, bool) else str(value)

    return get


def _pod_host_network(obj: Object) -> str:
    return "true" if (obj.get("spec") or {}).get("hostNetwork") else "false"


def _pod_ips(obj: Object) -> str:
    status = obj.get("status") or {}
    return ",".join(item.get("ip", "") for item in status.get("podIPs") or ())


def _event_source(obj: Object) -> str:
    return (obj.get("source") or {}).get("component") or obj.get("reportingComponent") or ""


_EVENT_REFERENCE = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")

#: (group, resource) -> label -> value. Rows are those of the stored form.
TABLE: dict[tuple[str, str], dict[str, Getter]] = {
    ("", "pods"): {
        "spec.nodeName": _at("spec", "nodeName"),
        "spec.restartPolicy": _at("spec", "restartPolicy"),
        "spec.schedulerName": _at("spec", "schedulerName"),
        "spec.serviceAccountName": _at("spec", "serviceAccountName"),
        "spec.hostNetwork": _pod_host_network,
        "status.phase": _at("status", "phase"),
        "status.podIP": _at("status", "podIP"),
        "status.podIPs": _at("status", "podIP"),
        "status.nominatedNodeName": _at("status", "nominatedNodeName"),
    },
    ("", "nodes"): {"spec.unschedulable": _at("spec", "unschedulable", default="false")},
    ("", "namespaces"): {"status.phase": _at("status", "phase")},
    ("", "secrets"): {"type": _at("type")},
    ("", "services"): {"spec.clusterIP": _at("spec", "clusterIP"), "spec.type": _at("spec", "type")},
    ("", "replicationcontrollers"): {"status.replicas": _at("status", "replicas", default="0")},
    ("", "events"): {
        **{f"involvedObject.{name}": _at("involvedObject", name) for name in _EVENT_REFERENCE},
        "reason": _at("reason"),
        "reportingComponent": _at("reportingComponent"),
        "source": _event_source,
        "type": _at("type"),
    },
    ("batch", "jobs"): {"status.successful": _at("status", "succeeded", default="0")},
    ("certificates.k8s.io", "certificatesigningrequests"): {"spec.signerName": _at("spec", "signerName")},
    ("resource.k8s.io", "resourceslices"): {
        "spec.nodeName": _at("spec", "nodeName"), "spec.driver": _at("spec", "driver"),
    },
    ("networking.k8s.io", "ipaddresses"): {"spec.parentRef.name": _at("spec", "parentRef", "name")},
}  # fmt: skip

#: Fields worth an index: agents and the service controllers ask for them all the time.
INDEXED: dict[tuple[str, str], tuple[str, ...]] = {("", "pods"): ("spec.nodeName",)}

#: Kinds whose refusal names the kind.
_NAMES_KIND = {"Job"}


def getters_of(kind: Kind) -> Mapping[str, Getter]:
    if isinstance(kind, CustomKind):
        return kind.form.selectable
    return TABLE.get(kind.storage_resource, {})


def fields_of(kind: Kind) -> Callable[[Object], Mapping[str, str]]:
    getters = getters_of(kind)
    if not getters:
        return lambda obj: {}
    items = tuple(getters.items())
    return lambda obj: {name: get(obj) for name, get in items}


def check_field_selector(kind: Kind, selector: FieldSelector) -> FieldSelector:
    """Refuses unknown labels; answers the selector in the stored form's labels."""
    known = getters_of(kind)
    renamed = False
    for requirement in selector.requirements:
        name = requirement.field
        if name in ALWAYS:
            continue
        stored = _stored_label(kind, name)
        if stored is None or stored not in known:
            raise bad_request(_complaint(kind, name, bool(known)))
        renamed = renamed or stored != name
    if not renamed:
        return selector
    from dataclasses import replace

    return FieldSelector(
        replace(each, field=_stored_label(kind, each.field) or each.field) for each in selector.requirements
    )


def _stored_label(kind: Kind, name: str) -> str | None:
    if kind.storage_resource != ("", "events") or kind.group == "":
        return name
    if name.startswith("regarding."):
        return "involvedObject." + name.removeprefix("regarding.")
    if name == "reportingController":
        return "reportingComponent"
    return name if name in ("reason", "type") else None


def _complaint(kind: Kind, name: str, has_table: bool) -> str:
    if kind.kind in _NAMES_KIND:
        return f'field label "{name}" not supported for {kind.kind}'
    if (has_table or kind.custom) and kind.kind not in ("ReplicationController",):
        return f"field label not supported: {name}"
    return f'"{name}" is not a known field selector: only "metadata.name", "metadata.namespace"'
