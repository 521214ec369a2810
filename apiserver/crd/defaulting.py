"""Whether the defaults of a definition's schema are values that the schema itself accepts. Pure."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from apiserver.crd.structural.formats import FORMATS
from apiserver.crd.structural.invariants import embedded_causes
from apiserver.crd.structural.shape import Structure, has_rules
from apiserver.crd.structural.validate import Cause, Validator
from apiserver.validation.field import Errors, Object

Schema = dict[str, Any]


def places_of_schemas(definition: Object) -> list[tuple[str, Schema]]:
    """(path, schema) of each schema: in one place if all versions agree, as upstream keeps it."""
    versions = (definition.get("spec") or {}).get("versions") or []
    schemas = [(version.get("schema") or {}).get("openAPIV3Schema") for version in versions]
    if not schemas:
        return []
    if all(one == schemas[0] for one in schemas):
        return [("spec.validation.openAPIV3Schema", schemas[0])] if schemas[0] is not None else []
    return [
        (f"spec.versions[{i}].schema.openAPIV3Schema", one) for i, one in enumerate(schemas) if one is not None
    ]


def default_causes(path: str, schema: Schema) -> list[Cause]:
    causes: list[Cause] = []
    for where, node, root in _with_defaults(path, schema, root=True):
        found = _judge(where + ".default", node, root)
        causes += found
    return causes


def _with_defaults(path: str, schema: Schema, root: bool = False) -> Iterator[tuple[str, Schema, bool]]:
    if schema.get("default") is not None:
        yield path, schema, root
    for name, inner in sorted((schema.get("properties") or {}).items()):
        if not (root and name in ("metadata", "apiVersion", "kind")):
            yield from _with_defaults(f"{path}.properties[{name}]", inner)
    for name in ("additionalProperties", "items"):
        if isinstance(schema.get(name), dict):
            yield from _with_defaults(f"{path}.{name}", schema[name])


def _judge(path: str, schema: Schema, root: bool) -> list[Cause]:
    value = schema["default"]
    structure = Structure({**schema, "x-kubernetes-embedded-resource": True} if root else schema)
    pruned = copy.deepcopy(value)
    if structure.prune(pruned, root=root):
        errors = Errors()
        errors.invalid(path, value, "must not have unknown fields")
        return list(errors)
    causes = [_below(path, cause) for cause in embedded_causes(structure, value)]
    causes = causes or [_below(path, cause) for cause in Validator(schema).validate(value)]
    if not causes and has_rules(schema):
        from apiserver.crd.rules import RuleTree, root_causes

        tree = RuleTree.build(schema, root=root)
        if tree is not None:
            causes = [_below(path, cause) for cause in root_causes(tree, value, None, lambda text: None)]
    return causes


def _below(path: str, cause: Cause) -> Cause:
    """A complaint about a part of the default, told from where the default stands."""
    field = cause["field"]
    if field in ("<nil>", ""):
        return cause if cause["message"].startswith('Invalid value: "": "') else cause | {"field": path}
    return cause | {"field": path + field if field.startswith(("[", ".")) else f"{path}.{field}"}


def unrecognized_formats(schema: Schema) -> list[str]:
    """Formats of strings that nobody checks, each told once a place."""
    found: list[str] = []
    name = schema.get("format") or ""
    if name and schema.get("type") == "string" and name.replace("-", "") not in FORMATS:
        found.append(f'unrecognized format "{name}"')
    for inner in (schema.get("properties") or {}).values():
        found += unrecognized_formats(inner)
    for part in ("additionalProperties", "items"):
        if isinstance(schema.get(part), dict):
            found += unrecognized_formats(schema[part])
    return found


