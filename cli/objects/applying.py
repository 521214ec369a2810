"""Make objects as files say, in the two ways kubectl has.

Client side: the last applied configuration is kept in an annotation, and the patch is the three-way difference of what
was applied, what is to be applied and what is there. Server side: the file itself is the patch, and the server keeps
track of who owns which field.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cli.errors import CommandError
from cli.objects.resources import Resource
from cli.objects.session import Session
from machinery.client import resource_path
from machinery.meta.errors import ApiError, is_not_found

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
SERVER_SIDE_MANAGER, CLIENT_SIDE_MANAGER = "kubectl", "kubectl-client-side-apply"

SOURCE = "STDIN"
MISSING_ANNOTATION = (
    "Warning: resource {name} is missing the kubectl.kubernetes.io/last-applied-configuration annotation which is "
    "required by kubectl apply. kubectl apply should only be used on resources created declaratively by either kubectl "
    "create --save-config or kubectl apply. The missing annotation will be patched automatically."
)

Object = dict[str, Any]


@dataclass(frozen=True)
class ApplyOptions:
    server_side: bool = False
    force_conflicts: bool = False
    field_manager: str = ""
    dry_run: str = "none"  # none, server, client
    validation: str = "Strict"

    def params(self, manager: str) -> dict[str, str]:
        params = {"fieldManager": self.field_manager or manager, "fieldValidation": self.validation}
        if self.dry_run == "server":
            params["dryRun"] = "All"
        return params


@dataclass(frozen=True)
class Applied:
    resource: Resource
    object: Object
    verb: str  # created, configured, unchanged, serverside-applied


async def apply_object(session: Session, obj: Object, options: ApplyOptions) -> Applied:
    resource = (await session.resources()).of_object(obj)
    obj = in_namespace(obj, resource, session.namespace)
    if not obj["metadata"].get("name"):
        raise CommandError(
            "error: error when retrieving current configuration of:\n"
            f'Resource: "{_dotted(resource)}, Resource={resource.plural}", GroupVersionKind: '
            f'"{_dotted(resource)}, Kind={resource.kind}"\n'
            f'Name: "", Namespace: "{obj["metadata"].get("namespace", "")}"\n'
            f'from server for: "{SOURCE}": resource name may not be empty'
        )
    path = resource_path(resource.gv, resource.plural, obj["metadata"].get("namespace"))
    if options.server_side:
        params = options.params(SERVER_SIDE_MANAGER) | {"force": "true" if options.force_conflicts else "false"}
        headers = {"Content-Type": "application/apply-patch+yaml"}
        answer = await session.client.request(
            "PATCH", f"{path}/{obj['metadata']['name']}", params=params, body=obj, headers=headers
        )
        return Applied(resource, answer.json(), "serverside-applied")
    return await _apply_client_side(session, resource, path, obj, options)


async def _apply_client_side(
    session: Session, resource: Resource, path: str, obj: Object, options: ApplyOptions
) -> Applied:
    wanted = with_last_applied(obj)
    name = obj["metadata"]["name"]
    try:
        present = (await session.client.request("GET", f"{path}/{name}")).json()
    except ApiError as error:
        if not is_not_found(error):
            raise
        if options.dry_run == "client":
            return Applied(resource, wanted, "created")
        params = options.params(CLIENT_SIDE_MANAGER)
        with saying(f'error when creating "{SOURCE}"'):
            answer = await session.client.request("POST", path, params=params, body=wanted)
        return Applied(resource, answer.json(), "created")
    if LAST_APPLIED not in (present["metadata"].get("annotations") or {}):
        print(MISSING_ANNOTATION.format(name=f"{resource.plural}/{name}"), file=sys.stderr)
    previous = json.loads(present["metadata"].get("annotations", {}).get(LAST_APPLIED) or "{}")
    patch = three_way_merge(previous, wanted, present)
    if not patch:
        return Applied(resource, present, "unchanged")
    if options.dry_run == "client":
        return Applied(resource, present, "configured")
    builtin = "." not in resource.group or resource.group.endswith(".k8s.io")
    kind = "strategic-merge-patch" if builtin else "merge-patch"
    answer = await session.client.request(
        "PATCH", f"{path}/{name}", params=options.params(CLIENT_SIDE_MANAGER), body=patch,
        headers={"Content-Type": f"application/{kind}+json"},
    )  # fmt: skip
    after = answer.json()
    same = after["metadata"].get("resourceVersion") == present["metadata"].get("resourceVersion")
    return Applied(resource, after, "unchanged" if same and options.dry_run == "none" else "configured")


def _dotted(resource: Resource) -> str:
    return resource.gv if "/" in resource.gv else f"/{resource.gv}"


@contextmanager
def saying(doing: str) -> Iterator[None]:
    """A refusal remembers what was being done, for whoever puts it into words."""
    try:
        yield
    except ApiError as error:
        error.add_note(doing)
        raise


def in_namespace(obj: Object, resource: Resource, namespace: str) -> Object:
    metadata = dict(obj.get("metadata") or {})
    if resource.namespaced:
        metadata.setdefault("namespace", namespace)
    return {**obj, "metadata": metadata}


def with_last_applied(obj: Object) -> Object:
    metadata = obj["metadata"]
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != LAST_APPLIED}
    bare = {**obj, "metadata": {**metadata, "annotations": annotations}}
    text = json.dumps(bare, separators=(",", ":"), sort_keys=True, ensure_ascii=False) + "\n"
    return {**obj, "metadata": {**metadata, "annotations": {**annotations, LAST_APPLIED: text}}}


def three_way_merge(previous: Any, wanted: Any, present: Any) -> Object:
    """What has to be sent: keys that are wanted and differ, and null for keys that were applied before and are not
    wanted any more. A list that differs goes as a whole; with a strategic merge patch the server merges it by keys,
    and items that are gone from the file are named for deletion. Pure."""
    patch: Object = {}
    for key, value in wanted.items():
        there = present.get(key)
        before = previous.get(key) if isinstance(previous, dict) else None
        if isinstance(value, dict) and isinstance(there, dict):
            inner = three_way_merge(before if isinstance(before, dict) else {}, value, there)
            if inner:
                patch[key] = inner
        elif isinstance(value, list) and isinstance(there, list):
            if not _covers(there, value) or (isinstance(before, list) and len(before) != len(value)):
                patch[key] = value + _deletions(before, value)
        elif value != there and not (value is None and key not in present):
            patch[key] = value
    if isinstance(previous, dict):
        for key in previous:
            if key not in wanted and key in present:
                patch[key] = None
    return patch


_MERGE_KEYS = ("name", "containerPort", "port", "mountPath", "ip", "topologyKey", "uid", "devicePath")


def _merge_key(items: list[Any]) -> str | None:
    for key in _MERGE_KEYS:
        if items and all(isinstance(item, dict) and key in item for item in items):
            return key
    return None


def _covers(there: list[Any], wanted: list[Any]) -> bool:
    """Whether every wanted item is there already, defaults that the server added aside."""
    if len(there) != len(wanted):
        return False
    return all(_covered(a, b) for a, b in zip(there, wanted, strict=True))


def _covered(there: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict) and isinstance(there, dict):
        return all(key in there and _covered(there[key], value) for key, value in wanted.items() if value is not None)
    if isinstance(wanted, list) and isinstance(there, list):
        return _covers(there, wanted)
    return bool(there == wanted)


def _deletions(before: Any, wanted: list[Any]) -> list[Object]:
    if not isinstance(before, list):
        return []
    key = _merge_key([*before, *wanted])
    if key is None:
        return []
    kept = {item[key] for item in wanted}
    return [{key: item[key], "$patch": "delete"} for item in before if item[key] not in kept]
