"""What a CustomResourceDefinition means: its kinds, schemas and columns, and which names it may have. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from apiserver.crd.forms import VersionForm
from apiserver.registry.custom import CustomKind, Form
from machinery.api.kinds import Subresource
from machinery.api.table import version_sort_key
from machinery.meta.conditions import condition_is, set_condition
from machinery.meta.objects import Object

#: In the order in which discovery shows them for custom resources.
VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
STATUS_VERBS = ("get", "patch", "update")


def versions_of(definition: Object) -> list[CustomKind]:
    """A row for each served version, best first, under the names that were accepted; ``stored_row`` for the bytes."""
    forms = _forms(definition)
    return [_row(definition, version, forms) for version in definition["spec"]["versions"] if version.get("served")]


def stored_row(definition: Object, rows: list[CustomKind]) -> CustomKind:
    """The row in whose version objects are stored, which may be one that is not served."""
    storage = storage_version(definition)
    for row in rows:
        if row.version == storage:
            return row
    version = next(each for each in definition["spec"]["versions"] if each["name"] == storage)
    forms: dict[str, Form] = {row.version: row.form for row in rows}
    forms[storage] = rows[0].hub_form if rows else VersionForm(definition, version, frozenset(), "")
    return _row(definition, version, forms)


def storage_version(definition: Object) -> str:
    return next((version["name"] for version in definition["spec"]["versions"] if version.get("storage")), "")


def _forms(definition: Object) -> dict[str, VersionForm]:
    spec = definition["spec"]
    served = [version for version in spec["versions"] if version.get("served")]
    api_versions = frozenset(f"{spec['group']}/{version['name']}" for version in served)
    best = min(
        (version["name"] for version in served if not version.get("deprecated")), key=version_sort_key, default=""
    )
    return {
        version["name"]: VersionForm(definition, version, api_versions, _warning(spec, version, best))
        for version in spec["versions"]
    }


def _row(definition: Object, version: Object, forms: Mapping[str, Form]) -> CustomKind:
    spec = definition["spec"]
    names = (definition.get("status") or {}).get("acceptedNames") or spec["names"]
    group, storage = spec["group"], storage_version(definition)
    subresources = version.get("subresources") or {}
    rows = []
    if subresources.get("status") is not None:
        rows.append(Subresource("status", names["kind"], STATUS_VERBS))
    if subresources.get("scale"):
        rows.append(Subresource("scale", "Scale", STATUS_VERBS, "autoscaling", "v1"))
    return CustomKind(
        group, version["name"], names["kind"], names["plural"], names.get("singular") or names["kind"].lower(),
        spec.get("scope") == "Namespaced", tuple(names.get("shortNames") or ()), tuple(names.get("categories") or ()),
        VERBS, tuple(rows), None, (group, storage), "", names.get("listKind") or f"{names['kind']}List", custom=True,
        form=forms[version["name"]], hub_form=forms[storage],
    )  # fmt: skip


def _warning(spec: Object, version: Object, best: str) -> str:
    if not version.get("deprecated"):
        return ""
    if version.get("deprecationWarning"):
        return str(version["deprecationWarning"])
    group, kind = spec["group"], spec["names"]["kind"]
    text = f"{group}/{version['name']} {kind} is deprecated"
    if best and version_sort_key(best) < version_sort_key(version["name"]):
        text += f"; use {group}/{best} {kind}"
    return text


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
    for word, wanted, taken in (
        ("plural", (names["plural"],), taken_resources),
        ("singular", (names.get("singular") or names["kind"].lower(),), taken_resources),
        ("shortNames", tuple(names.get("shortNames") or ()), taken_resources),
        ("kind", (names["kind"],), taken_kinds), ("listKind", (names.get("listKind") or "",), taken_kinds),
    ):  # fmt: skip
        clashes = [text for text in wanted if text and text in taken]
        if clashes:
            problem = (word, f'"{clashes[0]}" is already in use')
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
    approval = _approval(definition, now)
    status["conditions"] = conditions if approval is None else set_condition(conditions, approval, now)
    return status


_APPROVAL = "api-approved.kubernetes.io"
_APPROVAL_LINK = "https://github.com/kubernetes/enhancements/pull/1111"


def is_protected(group: str) -> bool:
    """Groups of the Kubernetes community itself."""
    return group.endswith((".k8s.io", ".kubernetes.io")) or group in ("k8s.io", "kubernetes.io")


def _approval(definition: Object, now: str) -> Object | None:
    """Whether a definition in a protected group has been looked at by those whose group it is."""
    if not is_protected(definition["spec"]["group"]):
        return None
    text = (definition["metadata"].get("annotations") or {}).get(_APPROVAL) or ""
    needed = f'protected groups must have approval annotation "{_APPROVAL}"'
    if not text:
        found = ("False", "MissingAnnotation", f"{needed}, see {_APPROVAL_LINK}")
    elif text.startswith("unapproved"):
        found = ("False", "UnapprovedAnnotation", f'not approved: "{text}"')
    elif urlsplit(text).netloc:
        found = ("True", "ApprovedAnnotation", f"approved in {text}")
    else:
        found = ("False", "InvalidAnnotation",
                 f'{needed} with either a URL or a reason starting with "unapproved", see {_APPROVAL_LINK}')  # fmt: skip
    return _condition("KubernetesAPIApprovalPolicyConformant", *found, now)


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
