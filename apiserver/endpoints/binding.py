"""``pods/binding`` (and the old ``bindings``): a pod is given its node, once."""

from __future__ import annotations

from typing import Any

from apiserver.endpoints.options import read_write_options
from apiserver.endpoints.request import Request, reply
from apiserver.registry import objectmeta
from apiserver.registry.strategies.pods import bind
from apiserver.server.negotiate import OBJECT_TYPES, negotiate
from apiserver.server.responses import Reply, encode_document
from machinery.api.schema import schema_for_kind
from machinery.meta.errors import ApiError, bad_request, conflict
from machinery.meta.objects import Object

SUCCESS = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


async def create_binding(request: Request) -> Reply:
    context, route = request.context, request.route
    media = negotiate(context.accept, OBJECT_TYPES, transforms=True)
    options = read_write_options(context.query, "CreateOptions")
    obj = await request.parts.bodies.read_object(
        context, "", "v1", "Binding", schema_for_kind("", "v1", "Binding"), strictness=options.strictness
    )
    objectmeta.check_namespace(obj, route.namespace, namespaced=True)
    meta = obj["metadata"]
    name = meta.get("name") or ""
    if route.name and name != route.name:
        raise bad_request("name in URL does not match name in Binding object")
    store = request.parts.resources.find("", "pods")
    assert store is not None
    write = request.write(options, options_kind="CreateOptions")
    write.name, write.subresource, write.manager, write.kind = name, "binding", "", store.kind
    await store.pipeline.admit(write, "CREATE", obj, None)
    _check_target(obj.get("target") or {})
    await store.pipeline.validate_admission(write, "CREATE", obj, None)
    write.bypass = True

    def transform(pod: Object) -> Object:
        sent, uid = meta.get("uid"), pod["metadata"]["uid"]
        if sent and sent != uid:
            raise conflict("", "pods", name, _precondition(store.key(route.namespace, name), sent, uid))
        complaint = bind(pod, obj["target"], meta.get("annotations") or {}, write.now)
        if complaint:
            raise conflict("", "pods/binding", name, complaint)
        if meta.get("labels"):
            pod["metadata"]["labels"] = {**(pod["metadata"].get("labels") or {}), **meta["labels"]}
        return pod

    try:
        await store.update(write, transform, patch=True)
    finally:
        request.take_warnings(write)
    return reply(encode_document(dict(SUCCESS), media), media, 201)


def _precondition(key: str, sent: str, uid: str) -> str:
    return (
        f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: "
        f"Precondition failed: UID in precondition: {sent}, UID in object meta: {uid}"
    )


def _check_target(target: dict[str, Any]) -> None:
    if target.get("kind") not in (None, "", "Node"):
        kind = target["kind"]
        raise ApiError(500, "", f'target.kind: Unsupported value: "{kind}": supported values: "Node", "<empty>"', None)
    if not target.get("name"):
        raise ApiError(500, "", "target.name: Required value", None)
