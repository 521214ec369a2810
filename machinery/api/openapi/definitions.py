"""Raw definitions rewritten for publication: references, enumerations, the descriptions of both."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from machinery.api.builtin import definition_name
from machinery.api.enums import describe_values, values_of
from machinery.api.kinds import Kind
from machinery.api.schema import META

Object = dict[str, Any]

_REF = "#/$defs/"
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
#: Types that every document with a write needs.
ALWAYS = (META + "DeleteOptions", META + "Status", META + "APIResourceList", META + "Patch")


class Publisher:
    """Collects the definitions that some roots reach, in the dialect of one version of OpenAPI."""

    def __init__(self, raw: Object, prefix: str, *, v3: bool) -> None:
        self.raw = raw
        self.prefix = prefix
        self.v3 = v3
        self.published: Object = {}

    def add(self, names: Iterable[str]) -> None:
        pending = [name for name in names if name in self.raw]
        while pending:
            name = pending.pop()
            if name in self.published:
                continue
            found: list[str] = []
            self.published[name] = self._definition(name, self.raw[name], found)
            pending.extend(found)

    def _definition(self, name: str, raw: Object, found: list[str]) -> Object:
        if name == QUANTITY:
            return {"oneOf": [{"type": "string"}, {"type": "number"}]} if self.v3 else {"type": "string"}
        if name == INT_OR_STRING:
            if self.v3:
                return {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}
            return {"type": "string", "format": "int-or-string"}
        return self._schema(raw, name.rpartition(".")[2], "", found)

    def _schema(self, raw: Object, struct: str, field: str, found: list[str]) -> Object:
        out: Object = {}
        reference = None
        for key, value in raw.items():
            match key:
                case "type":
                    out["type"] = _plain_type(value)
                case "$ref":
                    name = value.removeprefix(_REF)
                    found.append(name)
                    reference = {"$ref": self.prefix + name}
                case "properties":
                    out["properties"] = {one: self._schema(child, struct, one, found) for one, child in value.items()}
                case "items":
                    out["items"] = self._schema(value, struct, field, found)
                case "additionalProperties":
                    schema = isinstance(value, dict)
                    out["additionalProperties"] = self._schema(value, "", "", found) if schema else value
                case "enum":
                    pass  # of kind and apiVersion: an aid of the package, not part of the published schema
                case _:
                    out[key] = value
        if reference is not None:
            if not self.v3 or not out:
                return out | reference
            return {"allOf": [reference]} | out
        if struct and out.get("type") == "string" and field:
            self._enumerate(out, struct, field)
        return out

    @staticmethod
    def _enumerate(out: Object, struct: str, field: str) -> None:
        values = values_of(struct, field)
        if values:
            out["enum"] = sorted(values)
            if "description" in out:
                out["description"] += describe_values(values)


def _plain_type(value: Any) -> Any:
    if isinstance(value, list):
        return next((word for word in value if word != "null"), "object")
    return value


def roots_of(kinds: Iterable[Kind]) -> list[str]:
    """Names of the definitions that the operations on some kinds need."""
    names = list(ALWAYS)
    for kind in kinds:
        if not kind.schema_name:
            continue
        prefix = kind.schema_name.rpartition(".")[0]
        names += [kind.schema_name, f"{prefix}.{kind.list_kind_name}"]
        for sub in kind.subresources:
            if sub.version:
                names.append(definition_name(sub.group, sub.version, sub.kind))
    return names


def custom_name(kind: Kind) -> str:
    """Name of a custom kind's definition: the group's words reversed, then version and kind."""
    return ".".join([*reversed(kind.group.split(".")), kind.version, kind.kind])


def custom_definitions(kind: Kind, schema: Object | None, prefix: str, *, v3: bool) -> Object:
    """The definition of a custom kind and of its list."""
    name = custom_name(kind)
    gvk = [{"group": kind.group, "version": kind.version, "kind": kind.kind}]
    body: Object = dict(schema or {"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    meta_ref: Object = {"$ref": f"{prefix}{META}ObjectMeta"}
    text = "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/"
    text += "api-conventions.md#metadata"
    meta = {"allOf": [meta_ref], "description": text} if v3 else meta_ref | {"description": text}
    body["properties"] = {**(body.get("properties") or {}), **_type_properties(), "metadata": meta}
    body["x-kubernetes-group-version-kind"] = gvk
    listing = {
        "type": "object", "required": ["items"], "description": f"{kind.list_kind_name} is a list of {kind.kind}",
        "properties": {
            **_type_properties(),
            "items": {
                "type": "array", "items": {"$ref": prefix + name},
                "description": f"List of {kind.plural}. More info: https://git.k8s.io/community/contributors/devel/"
                "sig-architecture/api-conventions.md",
            },
            "metadata": {"$ref": f"{prefix}{META}ListMeta"},
        },
        "x-kubernetes-group-version-kind": [gvk[0] | {"kind": kind.list_kind_name}],
    }  # fmt: skip
    return {name: body, name.rpartition(".")[0] + "." + kind.list_kind_name: listing}


_CONVENTIONS = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"


def _type_properties() -> Object:
    return {
        "apiVersion": {
            "type": "string",
            "description": "APIVersion defines the versioned schema of this representation of an object. Servers "
            "should convert recognized schemas to the latest internal value, and may reject unrecognized values. "
            f"More info: {_CONVENTIONS}#resources",
        },
        "kind": {
            "type": "string",
            "description": "Kind is a string value representing the REST resource this object represents. Servers may "
            "infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: "
            f"{_CONVENTIONS}#types-kinds",
        },
    }
