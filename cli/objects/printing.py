"""Objects in the format that `-o` asks for, as kubectl writes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import yaml

from cli.errors import CommandError
from cli.objects.columns import format_columns
from cli.objects.jsonpath import parse_jsonpath, render_template, values_at
from cli.objects.resources import Resource

Object = dict[str, Any]
Found = tuple[Resource, Object]


class _Dumper(yaml.CSafeDumper):
    """Writes texts of several lines as blocks, as kubectl does."""


def _text(dumper: Any, value: str) -> Any:
    style = "|" if "\n" in value else None
    if style is None and dumper.resolve(yaml.ScalarNode, value, (True, False)) != "tag:yaml.org,2002:str":
        style = '"'  # in the clear it would be read as a number, a time, a truth
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(document: Any) -> str:
    style = {"sort_keys": True, "default_flow_style": False, "width": 1 << 20, "allow_unicode": True}
    return yaml.dump(document, Dumper=_Dumper, **style)  # type: ignore[call-overload, no-any-return]


def to_json(document: Any) -> str:
    return json.dumps(document, indent=4, sort_keys=True, ensure_ascii=False) + "\n"


def without_managed_fields(obj: Object) -> Object:
    if "managedFields" not in obj.get("metadata", {}):
        return obj
    return {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k != "managedFields"}}


def as_document(objects: Sequence[Object], *, single: bool) -> Object:
    if single and len(objects) == 1:
        return objects[0]
    return {"apiVersion": "v1", "items": list(objects), "kind": "List", "metadata": {"resourceVersion": ""}}


def format_objects(output: str, found: Sequence[Found], *, single: bool, managed: bool = False) -> str:
    """``single``: one object was asked for by name, so it is not wrapped in a list."""
    kind, _, argument = output.partition("=")
    if kind == "name":
        return "".join(f"{resource.label}/{obj['metadata']['name']}\n" for resource, obj in found)
    objects = [obj if managed else without_managed_fields(obj) for _, obj in found]
    document = as_document(objects, single=single)
    if kind == "json":
        return to_json(document)
    if kind == "yaml":
        return to_yaml(document)
    if kind in ("jsonpath", "jsonpath-as-json"):
        return render_template(argument, document)
    if kind == "custom-columns":
        return "".join(line + "\n" for line in custom_columns(argument, objects))
    raise CommandError(f'error: unable to match a printer suitable for the output format "{kind}", '
                       f"allowed formats are: custom-columns,json,jsonpath,name,wide,yaml")  # fmt: skip


def custom_columns(specification: str, objects: Sequence[Object]) -> list[str]:
    columns = []
    for column in specification.split(","):
        title, _, path = column.partition(":")
        if not title or not path:
            raise CommandError(f"error: unexpected custom-columns spec: {column}, expected <header>:<json-path-expr>")
        columns.append((title, parse_jsonpath("{" + (path if path.startswith((".", "[")) else "." + path) + "}")))
    rows = []
    for obj in objects:
        cells = []
        for _, where in columns:
            values = values_at(where, obj)
            cells.append(",".join(_cell(value) for value in values) if values else "<none>")
        rows.append(cells)
    return format_columns([title for title, _ in columns], rows)


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else "<none>" if value is None else json.dumps(value)
