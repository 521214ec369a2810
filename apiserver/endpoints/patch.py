"""PATCH: the four kinds of patches, each a pure function of the object, run again when a write is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apiserver.endpoints.bodies import decode_object, read_body, report_problems, unsupported
from apiserver.endpoints.options import read_write_options
from apiserver.endpoints.request import Request, reply
from apiserver.server.responses import Reply
from machinery.api.decode import strict_problems
from machinery.api.schema import SchemaNode
from machinery.meta.errors import ApiError
from machinery.meta.objects import Object
from machinery.meta.patches.merge_patch import parse_merge_patch
from machinery.meta.patches import (
    apply_json_patch,
    apply_merge_patch,
    apply_strategic_merge,
    parse_json_patch,

    unknown_operation_members,
)

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
    media = header.partition(";")[0].strip()
    accepted = CUSTOM_TYPES if request.kind.custom else BUILTIN_TYPES
    if media not in accepted:
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
    kind, schema = request.kind, request.parts.schemas.of(request.kind)
    presenter = request.presenter(answer)
    change = make_change(media, body, schema)
    write = request.write(options, options_kind="PatchOptions")
    strictness = options.strictness

    def transform(old: Object) -> Object:
        patched = change(old)
        return decode_patched(request, patched, schema, strictness, media, body)

    try:
        outcome = await request.store.update(write, transform, patch=True)
    finally:
        request.take_warnings(write)
    return reply(presenter.object(outcome.obj), answer, 201 if outcome.created else 200)


def make_change(media: str, body: bytes, schema: SchemaNode | None) -> Change:
    """The patch as a function; the body is read once."""
    if media == JSON_PATCH:
        operations = parse_json_patch(body)
        return lambda old: apply_json_patch(old, operations)
    if media == MERGE_PATCH:
        merge = parse_merge_patch(body)
        return lambda old: apply_merge_patch(old, merge)
    strategic = parse_merge_patch(body, "")
    return lambda old: apply_strategic_merge(old, strategic, schema)  # type: ignore[arg-type]


def decode_patched(
    request: Request, patched: Any, schema: SchemaNode | None, strictness: str, media: str, body: bytes
) -> Object:
    """The result as an object of its kind; kind and apiVersion cannot be patched."""
    kind = request.kind
    if not isinstance(patched, dict):
        raise ApiError(422, "Invalid", "the server rejected our request due to an error in our request", {})
    problems: list[str] = []
    if media == JSON_PATCH:
        problems = unknown_operation_members(parse_json_patch(body))
    if schema is not None:
        problems = strict_problems(decode_patch_object(patched, schema, body, kind.kind, kind.version), problems)
    report_patch_problems(request, problems, strictness)
    rest = {name: value for name, value in patched.items() if name not in ("kind", "apiVersion")}
    obj = {"kind": kind.kind, "apiVersion": kind.api_version, **rest}
    obj.setdefault("metadata", {})
    name = obj["metadata"].get("name")
    if not name:
        obj["metadata"]["name"] = request.route.name
    return obj


def decode_scale(
    request: Request, patched: Any, schema: SchemaNode | None, strictness: str, media: str, body: bytes
) -> Object:
    """A patched Scale."""
    if not isinstance(patched, dict):
        raise ApiError(422, "Invalid", "the server rejected our request due to an error in our request", {})
    problems: list[str] = []
    if schema is not None:
        problems = strict_problems(decode_patch_object(patched, schema, body, "Scale", "v1"))
    report_patch_problems(request, problems, strictness)
    patched.setdefault("metadata", {})
    return {**patched, "kind": "Scale", "apiVersion": "autoscaling/v1"}


def decode_patch_object(patched: Object, schema: SchemaNode, body: bytes, kind: str, version: str) -> list[str]:
    try:
        return decode_object(patched, schema, body, "", kind, version)
    except ApiError as error:
        text = error.message.partition(f"cannot be handled as a {kind}: ")[2] or error.message
        raise ApiError(422, "Invalid", f' "" is invalid: patch: Invalid value: {_shown(body)}: {text}', {
            "causes": [{
                "reason": "FieldValueInvalid", "message": f"Invalid value: {_shown(body)}: {text}", "field": "patch",
            }],
        }) from None  # fmt: skip


def _shown(body: bytes) -> str:
    import json

    return json.dumps(body.decode("utf-8", "replace"), ensure_ascii=False)


def report_patch_problems(request: Request, problems: list[str], strictness: str) -> None:
    if not problems:
        return
    if strictness != "Strict":
        report_problems(request.context, problems, strictness, request.kind.kind, request.kind.version)
        return
    text = "strict decoding error: " + ", ".join(problems)
    raise ApiError(422, "Invalid", f' "" is invalid: patch: Invalid value: "" : {text}', {})

