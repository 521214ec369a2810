"""Request bodies: bytes in one of the accepted types become a decoded object of the expected kind.

Complaints are upstream's to the letter: clients show them, and tests of other projects compare them. A problem of
strictness (unknown or doubled field) is a warning, an error or nothing, as ``fieldValidation`` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from apiserver.endpoints.json_errors import json_offence
from apiserver.registry.custom import CustomKind
from apiserver.server.context import RequestContext
from apiserver.server.listen import MAX_BODY_BYTES
from apiserver.server.negotiate import JSON, OBJECT_TYPES, PROTOBUF, YAML
from machinery.api.bodies import TOO_DEEP, BodyError, parse_json, parse_json_exactly, parse_yaml
from machinery.api.decode import DecodeError, decode, strict_problems
from machinery.api.kinds import Kind
from machinery.api.schema import SchemaNode
from machinery.api.table import KindTable
from machinery.meta.errors import ApiError, bad_request, too_large

SCHEME = "pkg/api/legacyscheme/scheme.go:30"
AGGREGATOR_SCHEME = "pkg/apiserver/scheme/scheme.go:28"
SUMMARY_BYTES = 30

Object = dict[str, Any]


async def read_body(context: RequestContext) -> bytes:
    """The whole body, at most 3 MiB."""
    if context.body is None:
        request = context.request
        length = request.content_length
        if length is not None and length > MAX_BODY_BYTES:
            raise body_too_large()
        if not request.can_read_body:
            context.body = b""
        else:
            try:
                context.body = await request.read()
            except web.HTTPRequestEntityTooLarge:
                raise body_too_large() from None
        if context.body and request.headers.get("Content-Encoding", "").lower() == "gzip":
            context.body = _gunzip(context.body)
    return context.body


def _gunzip(body: bytes) -> bytes:
    import zlib

    try:
        decompressor = zlib.decompressobj(31)
        plain = decompressor.decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error:
        raise bad_request("gzip: invalid header") from None
    if len(plain) > MAX_BODY_BYTES:
        raise body_too_large()
    return plain


def body_too_large() -> ApiError:
    return too_large(f"Request entity too large: limit is {MAX_BODY_BYTES}")


def media_type(context: RequestContext, accepted: Sequence[str] = OBJECT_TYPES) -> str:
    """The body's type. No type at all is JSON."""
    header = context.request.headers.get("Content-Type", "")
    if not header:
        return JSON
    media, _, params = header.partition(";")
    media = media.strip().lower()
    if media not in accepted or ("," in header) or any("=" not in p for p in params.split(";") if p.strip()):
        raise unsupported(accepted)
    return media


def unsupported(accepted: Sequence[str]) -> ApiError:
    shown = ", ".join(accepted)
    return ApiError(
        415, "UnsupportedMediaType",
        f"the body of the request was in an unknown format - accepted media types include: {shown}",
    )  # fmt: skip


def summarize(body: bytes) -> str:
    if not body:
        return "<empty>"
    if body[:1] == b"{":
        if len(body) > SUMMARY_BYTES:
            return body[:SUMMARY_BYTES].decode("utf-8", "replace") + " ..."
        return body.decode("utf-8", "replace")
    if len(body) > SUMMARY_BYTES:
        return body[:SUMMARY_BYTES].hex() + " ..."
    return body.hex()


def unrecognized(kind: str, error: str, body: bytes) -> ApiError:
    return bad_request(f"the object provided is unrecognized (must be of type {kind}): {error} ({summarize(body)})")


def parse_text(body: bytes, media: str, kind: str) -> tuple[Any, list[str]]:
    """JSON or YAML to a value and the doubled fields."""
    if media == YAML:
        try:
            value, doubled = parse_yaml(body)
        except BodyError as error:
            raise unrecognized(kind, str(error), body) from None
        return value, yaml_lines(doubled)
    try:
        return parse_json(body)
    except BodyError as error:
        complaint = TOO_DEEP if str(error) == TOO_DEEP else json_offence(body) or str(error)
        raise unrecognized(kind, f"couldn't get version/kind; json parse error: {complaint}", body) from None


def yaml_lines(problems: list[str]) -> list[str]:
    return [line.strip() for problem in problems for line in problem.splitlines() if line.strip()[:5] == "line "]


class BodyReader:
    """Reads objects; knows the table of kinds to tell a wrong kind from an unknown one."""

    def __init__(self, kinds: KindTable) -> None:
        self._kinds = kinds

    async def read_object(
        self, context: RequestContext, group: str, version: str, kind: str, schema: SchemaNode | None, *,
        strictness: str, custom: CustomKind | None = None,
    ) -> Object:
        media = media_type(context)
        body = await read_body(context)
        if media == PROTOBUF:
            value = self._from_protobuf(body, kind)
            doubled: list[str] = []
        else:
            value, doubled = parse_text(body, media, kind)
        if custom is not None:
            return accept_custom(context, custom, value, doubled, body, strictness)
        return self.accept(context, value, doubled, body, media, group, version, kind, schema, strictness)

    def accept(
        self, context: RequestContext, value: Any, doubled: list[str], body: bytes, media: str, group: str,
        version: str, kind: str, schema: SchemaNode | None, strictness: str, code: int = 400,
    ) -> Object:
        """A parsed value as an object of the kind; ``code`` is the status of a strictness error."""
        obj = check_type_meta(self._kinds, value, body, group, version, kind)
        if schema is not None:
            unknown = decode_object(obj, schema, body, media, kind, version)
            problems = strict_problems(unknown, doubled)
            report_problems(context, problems, strictness, kind, version, code)
        obj.setdefault("metadata", {})
        return obj

    def _from_protobuf(self, body: bytes, kind: str) -> Any:
        from machinery.api import wire

        try:
            return wire.decode_object(body)
        except ValueError as error:
            raise unrecognized(kind, str(error), body) from None


def accept_custom(
    context: RequestContext, kind: CustomKind, value: Any, doubled: list[str], body: bytes, strictness: str
) -> Object:
    """A body as a custom resource. Its kind is judged later, with the rest of the object; its version here."""
    if value is None or (isinstance(value, dict) and not value.get("kind")):
        text = body.decode("utf-8", "replace").strip()
        raise unrecognized(kind.kind, f"Object 'Kind' is missing in '{text}'", body)
    if not isinstance(value, dict):
        check_type_meta(KindTable(), value, body, kind.group, kind.version, kind.kind)
    given = value.get("apiVersion") or ""
    if given != kind.api_version:
        if given not in kind.form.served:  # a version without a schema knows no fields
            unknown = sorted(name for name in value if name not in ("apiVersion", "kind", "metadata"))
            report_problems(context, strict_problems(unknown, doubled), strictness, kind.kind, kind.version)
        raise bad_request(
            f"the API version in the data ({given}) does not match the expected API version ({kind.api_version})"
        )
    rest = {name: item for name, item in value.items() if name not in ("kind", "apiVersion")}
    obj = {"kind": value["kind"], "apiVersion": given, **rest}
    try:
        unknown = kind.form.decode(obj)
    except DecodeError as error:
        raise bad_request(
            f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {error}'
        ) from None
    report_problems(context, strict_problems(unknown, doubled), strictness, kind.kind, kind.version)
    return obj


def report_problems(
    context: RequestContext, problems: list[str], strictness: str, kind: str, version: str, code: int = 400
) -> None:
    if not problems or strictness == "Ignore":
        return
    if strictness == "Strict":
        text = "strict decoding error: " + ", ".join(problems)
        raise bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: {text}')
    for problem in problems:
        context.warn(problem)


def decode_object(obj: Object, schema: SchemaNode, body: bytes, media: str, kind: str, version: str) -> list[str]:
    try:
        return decode(obj, schema)
    except DecodeError as error:
        text = str(error)
        if "number" in text and media == JSON:
            text = _exact_complaint(body, schema) or text
        raise bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: {text}') from None


def _exact_complaint(body: bytes, schema: SchemaNode) -> str | None:
    """Once more, with numbers as they were written, so that the complaint quotes them."""
    try:
        decode(parse_json_exactly(body), schema)
    except DecodeError as error:
        return str(error)
    except ValueError:
        return None
    return None


_GO_KINDS = {list: "array", str: "string", int: "number", float: "number", bool: "bool"}


def check_type_meta(kinds: KindTable, value: Any, body: bytes, group: str, version: str, kind: str) -> Object:
    """``kind`` and ``apiVersion`` of the body against what the path wants; absent ones are filled in."""
    if value is None:
        value = {}
    if not isinstance(value, dict):
        meta = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
        error = f"json: cannot unmarshal {_GO_KINDS[type(value)]} into Go value of type {meta}"
        raise unrecognized(kind, f"couldn't get version/kind; json parse error: {error}", body)
    for name, given in (("apiVersion", value.get("apiVersion")), ("kind", value.get("kind"))):
        if given is not None and not isinstance(given, str):
            what = _GO_KINDS.get(type(given), "object")
            error = f"json: cannot unmarshal {what} into Go struct field .{name} of type string"
            raise unrecognized(kind, f"couldn't get version/kind; json parse error: {error}", body)
    api_version = f"{group}/{version}" if group else version
    given_version = value.get("apiVersion") or api_version
    given_kind = value.get("kind") or kind
    if (given_version, given_kind) != (api_version, kind):
        _refuse_type(kinds, given_version, given_kind, group, api_version, kind)
    rest = {name: item for name, item in value.items() if name not in ("kind", "apiVersion")}
    return {"kind": kind, "apiVersion": api_version, **rest}


def _refuse_type(
    kinds: KindTable, given_version: str, given_kind: str, group: str, api_version: str, kind: str
) -> None:
    given_group, _, word = given_version.rpartition("/")
    if given_kind == kind and given_group not in ("", group):
        word = api_version.rpartition("/")[2]
    head = f'{given_kind} in version "{word}" cannot be handled as a {kind}'
    if given_kind == kind and _same_stored_kind(kinds, given_version, api_version, kind):
        raise bad_request(
            f"the API version in the data ({given_version}) does not match the expected API version ({api_version})"
        )
    if not _is_registered(kinds, given_version, given_kind):
        scheme = AGGREGATOR_SCHEME if group == "apiregistration.k8s.io" else SCHEME
        raise bad_request(
            f'{head}: no kind "{given_kind}" is registered for version "{given_version}" in scheme "{scheme}"'
        )
    raise bad_request(
        f"{head}: converting ({word}.{given_kind}) to ({internal_package(group)}.{kind}): unknown conversion"
    )


def _same_stored_kind(kinds: KindTable, given_version: str, api_version: str, kind: str) -> bool:
    if kind == "Scale":
        return given_version in ("extensions/v1beta1", "apps/v1beta1", "apps/v1beta2", "autoscaling/v1")
    given = kinds.by_api_version(given_version, kind)
    wanted = kinds.by_api_version(api_version, kind)
    return given is not None and wanted is not None and given.storage_resource == wanted.storage_resource


def _is_registered(kinds: KindTable, api_version: str, kind: str) -> bool:
    if kinds.by_api_version(api_version, kind.removesuffix("List")) is not None:
        return True
    return kind in ("Status", "DeleteOptions", "ListOptions", "CreateOptions", "UpdateOptions", "PatchOptions",
                    "WatchEvent", "APIVersions", "APIGroup", "APIResourceList", "Scale", "List")  # fmt: skip


def internal_package(group: str) -> str:
    """The package of upstream's internal types, as it stands in its messages."""
    if group in ("", "events.k8s.io"):
        return "core"
    return group.partition(".")[0]


def decode_kind(obj: Object, schema: SchemaNode | None, kind: Kind) -> list[str]:
    """``decode`` for built-in and custom kinds alike."""
    if isinstance(kind, CustomKind):
        return kind.form.decode(obj)
    return decode(obj, schema) if schema is not None else []
