"""What a CustomResourceDefinition means: its kinds, schemas and columns, and which names it may have. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from machinery.api.kinds import Kind, Subresource
from machinery.api.schema import SchemaNode, compile_schema
from machinery.meta.conditions import condition_is, set_condition
from machinery.meta.objects import Object

#: In the order in which discovery shows them for custom resources.
VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
STATUS_VERBS = ("get", "patch", "update")


@dataclass(slots=True)
class ScalePaths:
    """Where a custom resource keeps what its Scale shows; each a path of names below the object."""

    spec_replicas: tuple[str, ...]
    status_replicas: tuple[str, ...]
    label_selector: tuple[str, ...] = ()


@dataclass(slots=True)
class ServedVersion:
    """One served version and all that hangs on it."""

    kind: Kind
    schema: SchemaNode
    raw_schema: dict[str, Any]
    columns: list[Object]
    selectable: tuple[str, ...] = ()
    scale: ScalePaths | None = None
    deprecation: str = ""
    storage: bool = False
    extra: dict[str, Any] = field(default_factory=dict)


def versions_of(definition: Object) -> list[ServedVersion]:
    """The served versions (and, though not served, the storage version: it is the form in which bytes are kept)."""
    spec = definition["spec"]
    names, group = spec["names"], spec["group"]
    storage = next((version["name"] for version in spec["versions"] if version.get("storage")), "")
    return [_version(definition, names, group, storage, version) for version in spec["versions"]
            if version.get("served")]  # fmt: skip


def _version(definition: Object, names: Object, group: str, storage: str, version: Object) -> ServedVersion:
    spec, subresources = definition["spec"], version.get("subresources") or {}
    rows = []
    if "status" in subresources:
        rows.append(Subresource("status", names["kind"], STATUS_VERBS))
    scale = None
    if subresources.get("scale"):
        rows.append(Subresource("scale", "Scale", STATUS_VERBS, "autoscaling", "v1"))
        asked = subresources["scale"]
        scale = ScalePaths(
            _path(asked["specReplicasPath"]), _path(asked["statusReplicasPath"]),
            _path(asked.get("labelSelectorPath") or ""),
        )  # fmt: skip
    kind = Kind(
        group, version["name"], names["kind"], names["plural"], names.get("singular") or names["kind"].lower(),
        spec.get("scope") == "Namespaced", tuple(names.get("shortNames") or ()), tuple(names.get("categories") or ()),
        VERBS, tuple(rows), None, (group, storage), "", names.get("listKind") or f"{names['kind']}List", custom=True,
    )  # fmt: skip
    raw = (version.get("schema") or {}).get("openAPIV3Schema") or {"type": "object"}
    return ServedVersion(
        kind, compile_schema(raw, name=names["kind"]), raw, list(version.get("additionalPrinterColumns") or ()),
        tuple(each["jsonPath"] for each in version.get("selectableFields") or ()), scale,
        _deprecation(kind, version), version["name"] == storage,
    )  # fmt: skip


def _path(json_path: str) -> tuple[str, ...]:
    return tuple(part for part in json_path.strip().lstrip(".").split(".") if part)


def _deprecation(kind: Kind, version: Object) -> str:
    if not version.get("deprecated"):
        return ""
    return version.get("deprecationWarning") or f"{kind.api_version} {kind.kind} is deprecated"


def is_established(definition: Object) -> bool:
    return condition_is((definition.get("status") or {}).get("conditions"), "Established")


# -- names ---------------------------------------------------------------------------------------------------------------


def plan_names(definition: Object, others: Iterable[Object], now: str) -> Object:
    """The status that the definition should have: which of its names it gets. ``others`` are the definitions of the
    same group, whose accepted names are taken."""
    names = definition["spec"]["names"]
    taken_resources, taken_kinds = _taken(definition, others)
    status = dict(definition.get("status") or {})
    accepted = dict(status.get("acceptedNames") or {})
    problem = ("", "")
    for word, text in _resource_names(names):
        if text in taken_resources:
            problem = (word, f'"{text}" is already in use')
        else:
            _accept(accepted, names, word)
    for word in ("kind", "listKind"):
        text = names.get(word) or ""
        if text and text in taken_kinds:
            problem = (word, f'"{text}" is already in use')
        else:
            _accept(accepted, names, word)
    _accept(accepted, names, "categories")
    status["acceptedNames"] = {"plural": "", "kind": "", **accepted}
    conditions = status.get("conditions") or []
    if problem[0]:
        reason = problem[0][0].upper() + problem[0][1:] + "Conflict"
        conditions = set_condition(conditions, _condition("NamesAccepted", "False", reason, problem[1], now), now)
        if not condition_is(conditions, "Established"):
            established = _condition("Established", "False", "NotAccepted", "not all names are accepted", now)
            conditions = set_condition(conditions, established, now)
    else:
        conditions = set_condition(
            conditions, _condition("NamesAccepted", "True", "NoConflicts", "no conflicts found", now), now
        )
        established = _condition(
            "Established", "True", "InitialNamesAccepted", "the initial names have been accepted", now
        )
        conditions = set_condition(conditions, established, now)
    status["conditions"] = conditions
    return status


def _resource_names(names: Object) -> Iterator[tuple[str, str]]:
    yield "plural", names["plural"]
    yield "singular", names.get("singular") or names["kind"].lower()
    for short in names.get("shortNames") or ():
        yield "shortNames", short


def _accept(accepted: Object, names: Object, word: str) -> None:
    value = names.get(word)
    if value:
        accepted[word] = value
    else:
        accepted.pop(word, None)


def _taken(definition: Object, others: Iterable[Object]) -> tuple[set[str], set[str]]:
    resources: set[str] = set()
    kinds: set[str] = set()
    group, own = definition["spec"]["group"], definition["metadata"]["uid"]
    for other in others:
        if other["metadata"]["uid"] == own or other["spec"]["group"] != group:
            continue
        accepted = (other.get("status") or {}).get("acceptedNames") or {}
        resources |= {accepted.get("plural", ""), accepted.get("singular", ""), *(accepted.get("shortNames") or ())}
        kinds |= {accepted.get("kind", ""), accepted.get("listKind", "")}
    resources.discard("")
    kinds.discard("")
    return resources, kinds


def _condition(type_: str, status: str, reason: str, message: str, now: str) -> Object:
    return {"type": type_, "status": status, "lastTransitionTime": now, "reason": reason, "message": message}
