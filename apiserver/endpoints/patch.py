"""PATCH: the four kinds of patches, each a pure function of the object, run again when a write is lost."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson

from apiserver.endpoints.bodies import decode_kind, read_body, report_problems, unsupported
from apiserver.endpoints.options import read_write_options
from apiserver.endpoints.request import Request, reply
from apiserver.registry import objectmeta
from apiserver.server.responses import Reply
from machinery.api.bodies import BodyError, parse_json
from machinery.api.decode import DecodeError, decode, strict_problems
from machinery.api.kinds import Kind
from machinery.api.schema import SchemaNode
from machinery.meta.errors import ApiError
from machinery.meta.go_format import go_value
from machinery.meta.objects import Object
from machinery.meta.patches import (
    apply_json_patch,
    apply_merge_patch,
    apply_strategic_merge,
    parse_json_patch,
    unknown_operation_members,
)
from machinery.meta.patches.merge_patch import parse_merge_patch

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"

BUILTIN_TYPES = (JSON_PATCH, MERGE_PATCH, STRATEGIC, APPLY)
CUSTOM_TYPES = (JSON_PATCH, MERGE_PATCH, APPLY)

Change = Callable[[Object], Object]


def patch_type(request: Request) -> str:
    """Case-sensitive, parameters ignored."""
    header = request.context.request.headers.get("Content-Type", "")
    accepted = CUSTOM_TYPES if request.kind.custom else BUILTIN_TYPES
    media = header.partition(";")[0].strip()
    if media not in accepted:
        named = (part.partition(";")[0].strip() for part in header.split(","))
        if not request.kind.custom and not any(part in accepted for part in named):
            raise ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})  # the route refuses
        raise unsupported(accepted)
    return media


async def patch(request: Request) -> Reply:
    media = patch_type(request)
    answer = request.negotiate()
    options = read_write_options(request.context.query, "PatchOptions", apply=media == APPLY)
    if media == APPLY:
        from apiserver.endpoints.apply import apply

        return await apply(request, answer, options)
    body = await read_body(request.context)
    schema = request.parts.schemas.of(request.kind)
    presenter = request.presenter(answer)
    change, doubled, shown = make_change(media, body, schema)
    write = request.write(options, options_kind="PatchOptions")
    strictness = options.strictness

    def transform(old: Object) -> Object:
        patched = change(old)
        if media == STRATEGIC and isinstance(patched, dict):  # works on the type, which has no say in its name
            patched |= {"kind": old["kind"], "apiVersion": old["apiVersion"]}
        return decode_patched(request, patched, schema, strictness, doubled, shown)

    try:
        outcome = await request.store.update(write, transform, patch=True)
    finally:
        request.take_warnings(write)
    return reply(presenter.object(outcome.obj), answer, 201 if outcome.created else 200)


def make_change(media: str, body: bytes, schema: SchemaNode | None) -> tuple[Change, list[str], str]:
    """The patch as a function, what is doubled or unknown in the patch itself, and how errors quote it."""
    text = body.decode("utf-8", "replace")
    if media == JSON_PATCH:
        operations = parse_json_patch(body)
        return lambda old: apply_json_patch(old, operations), unknown_operation_members(operations), text
    if media == MERGE_PATCH:
        merge = parse_merge_patch(body)
        return lambda old: apply_merge_patch(old, merge), _doubled(body), text
    strategic = parse_merge_patch(body, "")
    return (
        lambda old: apply_strategic_merge(old, strategic, schema),
        _doubled(body), go_value(strategic),
    )  # fmt: skip


def _doubled(body: bytes) -> list[str]:
    try:
        return parse_json(body)[1]
    except BodyError:
        return []


def decode_patched(
    request: Request, patched: Any, schema: SchemaNode | None, strictness: str, doubled: list[str], shown: str
) -> Object:
    """The result as an object of the request's kind and name."""
    kind = request.kind
    obj = _as_object(patched)
    given = (obj.get("apiVersion"), obj.get("kind"))
    if given[0] != kind.api_version or (given[1] != kind.kind and not (kind.custom and given[1])):
        raise bad_patch(shown, f'no kind "{given[1]}" is registered for version "{given[0]}"')
    problems = list(doubled)
    if schema is not None:
        problems = strict_problems(_decode(obj, schema, shown, kind), problems)
    _report(request, problems, strictness, shown)
    rest = {name: value for name, value in obj.items() if name not in ("kind", "apiVersion")}
    # A custom resource of another kind is refused later, with whatever else is wrong with it.
    obj = {"kind": given[1], "apiVersion": kind.api_version, **rest}
    obj.setdefault("metadata", {})
    objectmeta.check_name(obj, request.route.name)
    return obj


def decode_scale(
    request: Request, patched: Any, schema: SchemaNode | None, strictness: str, doubled: list[str], shown: str
) -> Object:
    """A patched Scale."""
    obj = _as_object(patched)
    problems = list(doubled)
    if schema is not None:
        problems = strict_problems(_decode(obj, schema, shown), problems)
    _report(request, problems, strictness, shown)
    obj.setdefault("metadata", {})
    objectmeta.check_name(obj, request.route.name)
    return {**obj, "kind": "Scale", "apiVersion": "autoscaling/v1"}


def _as_object(patched: Any) -> Object:
    if not isinstance(patched, dict):
        raise ApiError(422, "Invalid", "the server rejected our request due to an error in our request", {})
    return patched


def _decode(obj: Object, schema: SchemaNode, shown: str, kind: Kind | None = None) -> list[str]:
    try:
        return decode(obj, schema) if kind is None else decode_kind(obj, schema, kind)
    except DecodeError as error:
        text = str(error) if shown[:1] in ("{", "[") else unstructured_complaint(str(error))
        raise bad_patch(shown, text) from None


_MISMATCH = re.compile(r"json: cannot unmarshal (\w+) into Go struct field \S+ of type (\S+)")
_SCALARS = ("int32", "int64", "bool", "string", "float64")


def unstructured_complaint(text: str) -> str:
    """A strategic merge patch is turned into a struct without JSON, and a wrong type is told in other words."""
    match = _MISMATCH.search(text)
    if match is None:
        return text
    found, wanted = match.groups()
    found = {"array": "slice", "object": "map", "number": "int64"}.get(found, found)
    if wanted in _SCALARS:
        return f"unrecognized type: {wanted}"
    if wanted.startswith("map["):
        return f"cannot restore map from {found}"
    if wanted.startswith("[]"):
        return f"cannot restore slice from {found}"
    return f"cannot restore struct from: {found}"


def bad_patch(shown: str, text: str) -> ApiError:
    quoted = orjson.dumps(shown).decode()
    cause = {"reason": "FieldValueInvalid", "message": f"Invalid value: {quoted}: {text}", "field": "patch"}
    return ApiError(422, "Invalid", f' "" is invalid: patch: Invalid value: {quoted}: {text}', {"causes": [cause]})


def _report(request: Request, problems: list[str], strictness: str, shown: str) -> None:
    if problems and strictness == "Strict":
        raise bad_patch(shown, "strict decoding error: " + ", ".join(problems))
    report_problems(request.context, problems, strictness, request.kind.kind, request.kind.version)
