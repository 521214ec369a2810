"""The objects that a binding points at. Reads from memory."""

from __future__ import annotations

from typing import Any

from apiserver.cel.values import EvalError
from apiserver.registry.custom import CustomKind, served_form
from apiserver.registry.interface import ObjectReader
from machinery.api.kinds import Kind
from machinery.meta.selectors import label_selector_from_dict

Object = dict[str, Any]
NOTHING_FOUND = "no params found for policy binding with `Deny` parameterNotFoundAction"


class ParamError(EvalError):
    """A binding cannot be followed."""


def find_params(
    reader: ObjectReader, kind: Kind, reference: Object | None, namespace: str
) -> list[Object | None]:
    """What to judge by, one after the other; [] for nothing to judge. Raises ParamError."""
    if reference is None:
        return [None]
    where = reference.get("namespace") or ""
    if where and not kind.namespaced:
        raise ParamError("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
    if kind.namespaced and not where:
        where = namespace
        if not where:
            raise ParamError("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
    if not kind.namespaced:
        where = ""
    found: list[Object | None] = []
    if reference.get("name"):
        one = reader.get(*kind.storage_resource, where, reference["name"])
        found = [shown(kind, one)] if one is not None else []
    elif reference.get("selector") is not None:
        selector = label_selector_from_dict(reference["selector"])
        found = [
            shown(kind, each) for each in reader.list(*kind.storage_resource, where)
            if selector.matches(each["metadata"].get("labels"))
        ]  # fmt: skip
    if not found and reference.get("parameterNotFoundAction") == "Deny":
        raise ParamError(NOTHING_FOUND)
    return found


def shown(kind: Kind, obj: Object) -> Object:
    return served_form(kind, obj) if isinstance(kind, CustomKind) else obj
