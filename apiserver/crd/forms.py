"""The form of one version of a definition: how its objects are read, defaulted, pruned and judged.

Made once a definition changes and then only read. What most objects never need (rules in CEL) is compiled when the
first object comes, so that a cluster full of definitions costs little.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from apiserver.crd.publishing import published_schema, published_schema_v2
from apiserver.crd.structural.invariants import embedded_causes, list_causes
from apiserver.crd.structural.shape import CoercionError, Structure, coerce_embedded, coerce_root, has_rules
from apiserver.crd.structural.validate import Cause, Validator
from apiserver.validation.field import Errors
from machinery.api.bodies import is_too_deep
from machinery.api.decode import DecodeError
from machinery.api.jsonpath import find
from machinery.api.kinds import Kind
from machinery.api.printers.custom import custom_printer
from machinery.api.schema import compile_schema
from machinery.meta.go_format import go_type, go_value
from machinery.meta.objects import Object

_UNTYPED: Object = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_NOT_CHECKED: Cause = {
    "reason": "FieldValueInvalid", "field": "<nil>",
    "message": "Invalid value: null: some validation rules were not checked because the object was invalid; correct the "
    "existing errors to complete validation",
}  # fmt: skip
#: Reasons that leave the rules of a schema without sense.
_BLOCKING = frozenset((
    "FieldValueTypeInvalid", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", "FieldValueNotSupported",
    "FieldValueDuplicate",
))  # fmt: skip
MOST_REPLICAS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """Where a custom resource keeps what its Scale shows; each a path of names below the object."""

    spec_replicas: tuple[str, ...]
    status_replicas: tuple[str, ...]
    label_selector: tuple[str, ...] = ()


class VersionForm:
    def __init__(self, definition: Object, version: Object, served: frozenset[str], warning: str) -> None:
        kind = definition["spec"]["names"]["kind"]
        raw = (version.get("schema") or {}).get("openAPIV3Schema")
        self.raw_schema: Object = raw if raw is not None else _UNTYPED
        self.kind_name: str = kind
        self.served = served
        self.warning = warning
        conversion = definition["spec"].get("conversion") or {}
        self.webhook_conversion = conversion.get("strategy") == "Webhook"
        self.terminating = bool(definition["metadata"].get("deletionTimestamp"))
        self.structure = Structure(self.raw_schema)
        self.node = compile_schema(self.raw_schema, name=kind)
        self.printer = custom_printer(version.get("additionalPrinterColumns"))
        self.scale = _scale_paths((version.get("subresources") or {}).get("scale"))
        self.selectable: Mapping[str, Callable[[Object], str]] = {
            path.lstrip("."): _getter(path)
            for path in (field["jsonPath"] for field in version.get("selectableFields") or ())
        }
        self._has_rules = has_rules(self.raw_schema)

    def published(self, *, v3: bool) -> Object:
        return published_schema(self.raw_schema) if v3 else published_schema_v2(self.raw_schema)

    @cached_property
    def _validator(self) -> Validator:
        """The root schema judges what the object says of itself elsewhere: type and metadata."""
        return Validator(without_identity(self.raw_schema))

    # -- reading ---------------------------------------------------------------------------------------------------------

    def decode(self, obj: Object) -> list[str]:
        if is_too_deep(obj):
            raise DecodeError("exceeded max depth")
        unknown = coerce_root(obj)
        try:
            unknown += coerce_embedded(self.structure, obj)
        except CoercionError as error:
            raise DecodeError(str(error)) from None
        unknown += self.structure.prune(obj, root=True)
        self._fill_nulls(obj)
        return sorted(unknown)

    def fill(self, obj: Object) -> None:
        self.structure.prune(obj, root=True)
        self._fill_nulls(obj)

    def _fill_nulls(self, obj: Object) -> None:
        metadata = obj.pop("metadata", None)
        self.structure.fill(obj)
        if metadata is not None:
            obj["metadata"] = metadata

    def prune(self, obj: Object) -> None:
        self.structure.prune(obj, root=True)

    # -- judging ---------------------------------------------------------------------------------------------------------

    def causes(self, kind: Kind, obj: Object, old: Object | None, subresource: str, warn: Callable[[str], None]) -> list[Cause]:
        causes: list[Cause] = []
        if obj.get("kind") != kind.kind:
            causes.append({
                "reason": "FieldValueInvalid", "field": "kind",
                "message": f'Invalid value: "{obj.get("kind")}": must be {kind.kind}',
            })  # fmt: skip
        value = _content(obj)
        before = _content(old) if old is not None else None
        if subresource == "status" and before is not None:
            causes += self._status_causes(value, before)
        elif before is None:
            causes += self._validator.validate(value)
        else:
            causes += self._validator.validate(value, "", before)
        causes += self._scale_causes(obj, subresource)
        causes += embedded_causes(self.structure, value)
        if before is None or not list_causes(self.raw_schema, before):
            causes += list_causes(self.raw_schema, value)
        return causes + self._rule_causes(obj, old, subresource, causes, warn)

    @cached_property
    def _status_validator(self) -> Validator | None:
        schema = (self.raw_schema.get("properties") or {}).get("status")
        return Validator(schema) if isinstance(schema, dict) else None

    def _status_causes(self, value: Object, before: Object) -> list[Cause]:
        """Through the subresource status is judged by itself; paths inside complaints begin there."""
        if self._status_validator is None or "status" not in value:
            return []
        old = {"old": before["status"]} if "status" in before else {}
        found = self._status_validator.validate(value["status"], "", **old)
        return [cause if cause["field"] == "<nil>" else cause | {"field": f"status.{cause['field']}"} for cause in found]

    def _scale_causes(self, obj: Object, subresource: str) -> list[Cause]:
        if self.scale is None:
            return []
        errors = Errors()
        paths = self.scale
        if subresource == "status":
            _count_causes(obj, paths.status_replicas, errors)
        else:
            _count_causes(obj, paths.spec_replicas, errors)
        wanted = "status" if subresource == "status" else "spec"
        if paths.label_selector[:1] == (wanted,):
            _selector_causes(obj, paths.label_selector, errors)
        return list(errors)

    def _rule_causes(
        self, obj: Object, old: Object | None, subresource: str, causes: list[Cause], warn: Callable[[str], None]
    ) -> list[Cause]:
        rules = self.rules
        if rules is None:
            return []
        if any(cause["reason"] in _BLOCKING for cause in causes):
            return [_NOT_CHECKED]
        from apiserver.crd.rules import root_causes

        return root_causes(rules, obj, old, warn)

    @cached_property
    def rules(self) -> Any:
        """The rules of the schema, compiled for the first object that comes; None when it has none."""
        if not self._has_rules:
            return None
        from apiserver.crd.rules import RuleTree

        return RuleTree.build(self.raw_schema, root=True)


def without_identity(schema: Object) -> Object:
    properties = {
        name: one for name, one in (schema.get("properties") or {}).items() if name not in ("apiVersion", "kind")
    }
    return {**schema, "properties": properties} if "properties" in schema else schema


def _content(obj: Object) -> Object:
    """What the schema judges; of metadata only what it may restrict."""
    meta = obj.get("metadata") or {}
    named = {name: meta[name] for name in ("name", "generateName") if name in meta}
    return {**obj, "metadata": named}


# -- scale ---------------------------------------------------------------------------------------------------------------


def _scale_paths(scale: Object | None) -> ScalePaths | None:
    if not scale:
        return None
    return ScalePaths(
        _path(scale["specReplicasPath"]), _path(scale["statusReplicasPath"]), _path(scale.get("labelSelectorPath") or "")
    )


def _path(json_path: str) -> tuple[str, ...]:
    return tuple(part for part in json_path.strip().lstrip(".").split(".") if part)


def _at(obj: Object, path: tuple[str, ...]) -> Any:
    value: Any = obj
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _count_causes(obj: Object, path: tuple[str, ...], errors: Errors) -> None:
    count, where = _at(obj, path), "." + ".".join(path)
    if count is None:
        return
    if isinstance(count, bool) or not isinstance(count, int) or not -(2**63) <= count < 2**63:
        shown = go_value(float(count)) if isinstance(count, int) and not isinstance(count, bool) else go_value(count)
        errors.invalid(where, 0, f"{where} accessor error: {shown} is of the type {_go_type(count)}, expected int64")
    elif count < 0:
        errors.invalid(where, count, "should be a non-negative integer")
    elif count > MOST_REPLICAS:
        errors.invalid(where, count, f"should be less than or equal to {MOST_REPLICAS}")


def _go_type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, list | dict):
        return "[]interface {}" if isinstance(value, list) else "map[string]interface {}"
    return "float64" if isinstance(value, int | float) else go_type(value)


def _selector_causes(obj: Object, path: tuple[str, ...], errors: Errors) -> None:
    text = _at(obj, path)
    if text is None:
        return
    where = "." + ".".join(path)
    if not isinstance(text, str):
        errors.invalid(where, "", f"{where} accessor error: {go_value(text)} is of the type {_go_type(text)}, expected string")


# -- selectable fields ---------------------------------------------------------------------------------------------------


def _getter(path: str) -> Callable[[Object], str]:
    def get(obj: Object) -> str:
        values = find(path, obj)
        value = values[0] if values else None
        if value is None:
            return ""
        return ("true" if value else "false") if isinstance(value, bool) else str(value)

    return get


