"""Server-side apply: PATCH with a configuration. Creates what is not there."""

from __future__ import annotations

from apiserver.endpoints.bodies import decode_kind, read_body, report_problems, yaml_lines
from apiserver.endpoints.options import WriteOptions
from apiserver.endpoints.request import Request, reply
from apiserver.registry import objectmeta
from apiserver.registry.custom import CustomKind
from apiserver.registry.tracking import ignored_fields, set_managed_fields
from apiserver.server.negotiate import MediaType
from apiserver.server.responses import Reply
from machinery.api.bodies import BodyError, parse_yaml
from machinery.api.decode import DecodeError
from machinery.meta.apply import apply_object
from machinery.meta.errors import ApiError, bad_request
from machinery.meta.objects import Object, deep_copy


async def apply(request: Request, answer: MediaType, options: WriteOptions) -> Reply:
    config, doubled = read_configuration(await read_body(request.context), options.strictness)
    report_problems(request.context, doubled, options.strictness, request.kind.kind, request.kind.version)
    presenter = request.presenter(answer)
    write = request.write(options, options_kind="PatchOptions")
    kind, schema = request.kind, request.parts.schemas.of(request.kind)
    if schema is None:
        raise bad_request("this kind has no schema to apply by")
    check_configuration(request, config)
    store = request.store

    def transform(old: Object) -> Object:
        live = old or None
        obj, managed, _ = apply_object(
            live, deep_copy(config), manager=options.field_manager, api_version=kind.api_version,
            schema=schema, time=write.now, force=bool(options.force),
            subresource=request.subresource,
            ignored=ignored_fields(kind, request.subresource), built_in=not kind.custom,
            served_versions=kind.form.served if isinstance(kind, CustomKind) else None,
        )  # fmt: skip
        obj = deep_copy(obj)  # parts of it are shared with the package's tables and with the configuration
        rest = {name: value for name, value in obj.items() if name not in ("kind", "apiVersion")}
        obj = {"kind": kind.kind, "apiVersion": kind.api_version, **rest}
        obj.setdefault("metadata", {})
        try:
            decode_kind(obj, schema, kind)
        except DecodeError as error:
            raise ApiError(500, "", _unconvertible(config, str(error)), None) from None
        if live is not None:
            obj["metadata"] = {**_identity(old["metadata"]), **obj["metadata"]}
        set_managed_fields(obj, managed)
        if live is None or "name" not in (config.get("metadata") or {"name": ""}):
            objectmeta.check_name({"metadata": config.get("metadata") or {}}, request.route.name)
        objectmeta.check_name(obj, request.route.name)
        objectmeta.check_namespace(obj, request.route.namespace, namespaced=kind.namespaced)
        return obj

    try:
        outcome = await store.update(
            write, transform, allow_create=not request.subresource, tracked=True, patch=True
        )
    finally:
        request.take_warnings(write)
    return reply(presenter.object(outcome.obj), answer, 201 if outcome.created else 200)


_NO_MAP = "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {} into Go value of type {}"
_GO_KINDS = {list: "array", str: "string", int: "number", float: "number", bool: "bool"}


def read_configuration(body: bytes, strictness: str) -> tuple[Object, list[str]]:
    """The body, YAML or JSON, and the keys that stand in it twice."""
    try:
        value, doubled = parse_yaml(body)
    except BodyError as error:
        raise bad_request(f"error decoding YAML: error converting YAML to JSON: {error}") from None
    if value is None:
        value = {}
    if not isinstance(value, dict):
        what = _NO_MAP.format(_GO_KINDS.get(type(value), "object"), "map[string]interface {}")
        raise bad_request(f"error decoding YAML: {what}")
    if doubled and strictness == "Strict":
        raise bad_request(f"error strict decoding YAML: error converting YAML to JSON: {doubled[0]}")
    return value, yaml_lines(doubled)


#: What nobody owns and no configuration can take away.
_IDENTITY = (
    "name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
    "deletionGracePeriodSeconds",
)  # fmt: skip


def _identity(meta: Object) -> Object:
    return {name: meta[name] for name in _IDENTITY if name in meta}


def _unconvertible(config: Object, error: str) -> str:
    version, kind = config.get("apiVersion", ""), config.get("kind", "")
    group_version = version if "/" in version else f"/{version}"
    meta = config.get("metadata") or {}
    named, type_ = f"{meta.get('namespace') or ''}/{meta.get('name') or ''}", f"{group_version}, Kind={kind}"
    return (
        f"failed to convert new object ({named}; {type_}) to proper version: unable to convert unstructured object to "
        f"{type_}: error decoding from json: {error}"
    )


def check_configuration(request: Request, config: Object) -> None:
    """The configuration names its kind and the object of the path."""
    kind = request.kind
    given_version, given_kind = config.get("apiVersion") or "", config.get("kind") or ""
    if given_version != kind.api_version or given_kind != kind.kind:
        shown = given_version if "/" in given_version else f"/{given_version}"
        raise bad_request(f"invalid object type: {shown}, Kind={given_kind}")


async def apply_to_scale(request: Request, answer: MediaType, options: WriteOptions, body: bytes) -> Reply:
    """An apply of a Scale: ownership is that of the parent's replicas, shown and carried back."""
    from apiserver.endpoints import scale
    from machinery.api.schema import schema_for_kind
    from machinery.meta.apply import scale as ownership

    if request.kind.custom:
        text = "failed to convert live object (/; autoscaling/v1, Kind=Scale) to proper version: request to convert CR to an "
        text += "invalid group/version: autoscaling/v1"
        raise ApiError(500, "", f"failed to create manager for existing fields: {text}", None)
    config, doubled = read_configuration(body, options.strictness)
    report_problems(request.context, doubled, options.strictness, "Scale", "v1")
    write = request.write(options, options_kind="PatchOptions")
    schema = schema_for_kind("autoscaling", "v1", "Scale")
    kind = request.kind

    def transform(parent: Object) -> Object:
        live = scale.to_scale(parent)
        stored = parent["metadata"].get("managedFields")
        live["metadata"]["managedFields"] = ownership.to_scale(stored)
        wanted, managed, _ = apply_object(
            live, deep_copy(config), manager=options.field_manager, api_version="autoscaling/v1",
            schema=schema, time=write.now, force=bool(options.force), subresource="scale",  # type: ignore[arg-type]
        )  # fmt: skip
        scale.check(request, wanted, live)
        changed = scale.with_replicas(parent, (wanted.get("spec") or {}).get("replicas") or 0)
        changed["metadata"] = dict(parent["metadata"])
        set_managed_fields(changed, ownership.to_parent(stored, managed, kind.api_version))
        return changed

    try:
        outcome = await request.store.update(write, transform, tracked=True, patch=True)
    finally:
        request.take_warnings(write)
    return reply(scale.presenter(request, answer).object(scale.to_scale(outcome.obj)), answer)
