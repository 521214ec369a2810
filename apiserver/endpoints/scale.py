"""``/scale``: the number of replicas of any workload as one small object, autoscaling/v1 Scale.

Reading and writing are pure functions of the parent (``to_scale``, ``with_replicas``); a write is an update of the
parent, so that generation, conflicts and watches are those of the parent.
"""

from __future__ import annotations

from typing import Any

from apiserver.crd.forms import ScalePaths
from apiserver.endpoints.bodies import read_body
from apiserver.endpoints.options import bad_resource_version, parse_uint, read_write_options
from apiserver.endpoints.output import Presenter
from apiserver.endpoints.patch import APPLY, decode_scale, make_change, patch_type
from apiserver.endpoints.request import Request, reply
from apiserver.registry import objectmeta
from apiserver.registry.tracking import set_managed_fields
from apiserver.server.negotiate import MediaType
from apiserver.server.responses import Reply
from apiserver.server.router import no_such_method
from machinery.api.kinds import Kind
from machinery.api.schema import schema_for_kind
from machinery.meta.apply import scale as ownership
from machinery.meta.apply import update_managed_fields
from machinery.meta.errors import bad_request, conflict, internal, invalid
from machinery.meta.objects import Object, deep_copy
from machinery.meta.selectors import label_selector_from_dict, label_selector_from_map

SCALE = Kind("autoscaling", "v1", "Scale", "scale", "scale", True, verbs=("get", "patch", "update"))


async def scale(request: Request) -> Reply:
    media = request.negotiate()
    match request.route.verb:
        case "get":
            return await _get(request, media)
        case "update":
            return await _update(request, media)
        case "patch":
            return await _patch(request, media)
    raise no_such_method()


def presenter(request: Request, media: MediaType) -> Presenter:
    return request.presenter(media, SCALE)


async def _get(request: Request, media: MediaType) -> Reply:
    store, route = request.store, request.route
    asked = request.context.query.get("resourceVersion", "")
    if asked and parse_uint(asked) is None:
        raise bad_resource_version(asked)
    entry = await store.cacher.get(store.key(route.namespace, route.name), revision=int(asked) if asked else None)
    if entry is None:
        raise store.not_found(route.kind, route.name)
    return reply(presenter(request, media).object(show(request, entry.parsed)), media)


async def _update(request: Request, media: MediaType) -> Reply:
    context = request.context
    options = read_write_options(context.query, "UpdateOptions")
    wanted = await request.parts.bodies.read_object(
        context, "autoscaling", "v1", "Scale", schema_for_kind("autoscaling", "v1", "Scale"),
        strictness=options.strictness,
    )  # fmt: skip
    objectmeta.check_name(wanted, request.route.name)
    objectmeta.check_namespace(wanted, request.route.namespace, namespaced=True)
    return await _write(request, media, lambda live: wanted, options, "UpdateOptions")


async def _patch(request: Request, media: MediaType) -> Reply:
    kind = patch_type(request)
    options = read_write_options(request.context.query, "PatchOptions", apply=kind == APPLY)
    body = await read_body(request.context)
    schema = schema_for_kind("autoscaling", "v1", "Scale")
    if kind == APPLY:
        from apiserver.endpoints.apply import apply_to_scale

        return await apply_to_scale(request, media, options, body)
    change, doubled, shown = make_change(kind, body, schema)
    return await _write(
        request, media, lambda live: decode_scale(request, change(live), schema, options.strictness, doubled, shown),
        options, "PatchOptions", patch=True,
    )  # fmt: skip


async def _write(
    request: Request, media: MediaType, wanted: Any, options: Any, options_kind: str, *, patch: bool = False
) -> Reply:
    write = request.write(options, options_kind=options_kind)
    not_there = patch  # a PUT may give a custom resource its first replicas

    def transform(parent: Object) -> Object:
        before = show(request, parent, strict=not_there)
        new = wanted(deep_copy(before))
        check(request, new, before)
        paths = paths_of(request)
        changed = with_replicas(parent, (new.get("spec") or {}).get("replicas") or 0, paths)
        changed["metadata"] = dict(parent["metadata"])
        where = paths.spec_replicas if paths is not None else ("spec", "replicas")
        _track(changed, before, show(request, changed), write.manager, write.now, request.kind.api_version, where)
        return changed

    try:
        outcome = await request.store.update(write, transform, patch=True, tracked=True)
    finally:
        request.take_warnings(write)
    return reply(presenter(request, media).object(show(request, outcome.obj)), media)


def _track(
    parent: Object, before: Object, after: Object, manager: str, now: str, api_version: str, path: tuple[str, ...]
) -> None:
    """Ownership as the Scale shows it, carried back to the parent's replicas."""
    stored = parent["metadata"].get("managedFields")
    shown = {**before, "metadata": {**before["metadata"], "managedFields": ownership.to_scale(stored, path)}}
    new = {**after, "metadata": {**after["metadata"], "managedFields": shown["metadata"]["managedFields"]}}
    schema = schema_for_kind("autoscaling", "v1", "Scale")
    managed = update_managed_fields(
        shown, new, manager=manager, api_version="autoscaling/v1", schema=schema,  # type: ignore[arg-type]
        time=now, subresource="scale",
    )  # fmt: skip
    if stored or managed:
        set_managed_fields(parent, ownership.to_parent(stored, managed, api_version, path))


def check(request: Request, new: Object, before: Object) -> None:
    kind, name = request.kind, request.route.name
    sent = new["metadata"].get("resourceVersion") or ""
    if sent not in ("", "0") and sent != before["metadata"]["resourceVersion"]:
        raise conflict(kind.group, kind.plural, name)
    uid = new["metadata"].get("uid")
    if uid and uid != before["metadata"]["uid"]:
        known = before["metadata"]["uid"]
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {known}"
        raise conflict(kind.group, kind.plural, name, why)
    replicas = (new.get("spec") or {}).get("replicas") or 0
    if not isinstance(replicas, int):
        raise bad_request("spec.replicas must be an integer")
    if kind.custom:
        return  # the object that comes of it is judged by its own rules
    if replicas < 0:
        raise invalid("autoscaling", "Scale", name, [{
            "reason": "FieldValueInvalid", "field": "spec.replicas",
            "message": f"Invalid value: {replicas}: must be greater than or equal to 0",
        }])  # fmt: skip


def paths_of(request: Request) -> ScalePaths | None:
    """Where a custom resource keeps its numbers; None for built-in kinds, which all do it alike."""
    version = request.parts.custom.of(request.kind)
    return version.scale if version is not None else None


def show(request: Request, parent: Object, *, strict: bool = True) -> Object:
    paths = paths_of(request)
    if paths is None:
        return to_scale(parent)
    replicas = _at(parent, paths.spec_replicas)
    if replicas is None and strict:
        text = f'the spec replicas field ".{".".join(paths.spec_replicas)}" does not exist'
        raise internal(text)
    selector = _at(parent, paths.label_selector) if paths.label_selector else None
    shown = {
        "kind": parent["kind"], "metadata": parent["metadata"], "spec": {"replicas": replicas or 0},
        "status": {"replicas": _at(parent, paths.status_replicas) or 0},
    }  # fmt: skip
    scale = to_scale(shown)
    if selector:
        scale["status"]["selector"] = selector
    return scale


def _at(obj: Object, path: tuple[str, ...]) -> Any:
    value: Any = obj
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def to_scale(parent: Object) -> Object:
    meta = parent["metadata"]
    spec, status = parent.get("spec") or {}, parent.get("status") or {}
    shown = {name: meta[name] for name in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
             if meta.get(name)}  # fmt: skip
    scale_spec = {"replicas": spec["replicas"]} if spec.get("replicas") else {}
    scale_status: Object = {"replicas": status.get("replicas") or 0}
    selector = selector_text(parent)
    if selector:
        scale_status["selector"] = selector
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": shown, "spec": scale_spec,
            "status": scale_status}  # fmt: skip


def selector_text(parent: Object) -> str:
    selector = (parent.get("spec") or {}).get("selector")
    if selector is None:
        return ""
    if parent["kind"] == "ReplicationController":
        return str(label_selector_from_map(selector))
    return str(label_selector_from_dict(selector))


def with_replicas(parent: Object, replicas: int, paths: ScalePaths | None = None) -> Object:
    changed = dict(parent)
    place = changed
    *front, last = paths.spec_replicas if paths is not None else ("spec", "replicas")
    for part in front:
        inner = place.get(part)
        place[part] = dict(inner) if isinstance(inner, dict) else {}
        place = place[part]
    place[last] = replicas
    return changed
