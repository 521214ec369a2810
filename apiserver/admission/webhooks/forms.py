"""An object as a webhook sees it, and what its patch makes of the stored form.

Admission works on the form that is stored; a webhook gets the version that its rule names, and of ``/scale`` the Scale.
What comes back is decoded as if a client had sent it: unknown fields go, defaults come, a wrong type is an error.
"""

from __future__ import annotations

from typing import Any

from apiserver.admission.interface import AdmissionRequest
from apiserver.endpoints.scale import to_scale, with_replicas
from apiserver.registry.conversion import converters
from apiserver.registry.custom import CustomKind
from machinery.api import defaults
from machinery.api.decode import DecodeError, decode
from machinery.api.kinds import Kind
from machinery.api.schema import schema_for_kind
from machinery.api.table import KindTable
from machinery.meta.errors import internal
from machinery.meta.objects import deep_copy

Object = dict[str, Any]


def is_own_body(kind: Kind, subresource: str) -> bool:
    """The body of this subresource is an object of its own (Eviction, TokenRequest, Binding, PodExecOptions)."""
    sub = kind.subresource(subresource) if subresource else None
    return sub is not None and bool(sub.kind) and sub.kind != kind.kind and sub.name != "scale"


def shown(obj: Object | None, request: AdmissionRequest, kind: Kind, kinds: KindTable) -> Object | None:
    """``obj`` in the form of ``kind``. May share parts with the original: not to be changed."""
    if obj is None or is_own_body(kind, request.subresource):
        return obj
    if request.subresource == "scale":
        return _scale(obj, kind)
    if kind.custom:
        return obj if obj.get("apiVersion") == kind.api_version else {**obj, "apiVersion": kind.api_version}
    forward, _ = converters(kinds.hub_of(kind), kind)
    typed = {"kind": kind.kind, "apiVersion": kind.api_version, **obj}
    return forward(typed) if forward is not None else typed


def _scale(parent: Object, kind: Kind) -> Object:
    paths = getattr(kind.form, "scale", None) if isinstance(kind, CustomKind) else None
    if paths is None:
        return to_scale(parent)
    return to_scale({
        "kind": parent["kind"], "metadata": parent["metadata"],
        "spec": {"replicas": _at(parent, paths.spec_replicas) or 0},
        "status": {"replicas": _at(parent, paths.status_replicas) or 0},
    })  # fmt: skip


def _at(obj: Object, path: tuple[str, ...]) -> Any:
    value: Any = obj
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def take_patched(patched: Object, request: AdmissionRequest, kind: Kind, kinds: KindTable) -> None:
    """Put what the webhook made (in the form of ``kind``) back into ``request.obj``, in place."""
    assert request.obj is not None
    if is_own_body(kind, request.subresource):
        _replace(request.obj, patched)
        return
    if request.subresource == "scale":
        paths = getattr(kind.form, "scale", None) if isinstance(kind, CustomKind) else None
        replicas = (patched.get("spec") or {}).get("replicas") or 0
        _replace(request.obj, with_replicas(request.obj, replicas, paths))
        return
    own_version = request.obj.get("apiVersion")
    patched = deep_copy(patched)
    _decode(patched, kind)
    if isinstance(kind, CustomKind):
        if own_version:
            patched["apiVersion"] = own_version
    else:
        defaults.apply_defaults(kind, patched)
        _, back = converters(kinds.hub_of(kind), kind)
        patched = back(patched) if back is not None else patched
    if not isinstance(patched.get("metadata"), dict):
        raise internal("the webhook removed the object's metadata")
    _keep_field_owners(patched, request.obj)
    _replace(request.obj, patched)


def _decode(obj: Object, kind: Kind) -> None:
    try:
        if isinstance(kind, CustomKind):
            kind.form.decode(obj)
        else:
            schema = schema_for_kind(kind.group, kind.version, kind.kind)
            if schema is not None:
                decode(obj, schema)
    except DecodeError as error:
        raise internal(str(error)) from error


def _keep_field_owners(patched: Object, before: Object) -> None:
    """Ownership that a webhook broke is what it was."""
    owners = patched["metadata"].get("managedFields")
    if owners is not None and not (isinstance(owners, list) and all(isinstance(each, dict) for each in owners)):
        patched["metadata"]["managedFields"] = before["metadata"].get("managedFields")


def _replace(obj: Object, new: Object) -> None:
    new = dict(new)
    obj.clear()
    obj.update(new)
