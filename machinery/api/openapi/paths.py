"""Operations of a kind, as far as clients look at them: which verb a path takes, for which kind, with which parameters.

kubectl learns from the PATCH operation whether the server validates fields and knows dry run, so those parameters are
spelled out; the rest is what a generator of clients needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from machinery.api.kinds import Kind

Object = dict[str, Any]

_WRITE = ("dryRun", "fieldManager", "fieldValidation")
_LIST = (
    "allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit", "resourceVersion",
    "resourceVersionMatch", "sendInitialEvents", "timeoutSeconds", "watch",
)  # fmt: skip
_DELETE = ("dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy")
_TYPES = {
    "allowWatchBookmarks": "boolean", "limit": "integer", "sendInitialEvents": "boolean", "timeoutSeconds": "integer",
    "watch": "boolean", "gracePeriodSeconds": "integer", "orphanDependents": "boolean", "force": "boolean",
}  # fmt: skip
_PATCH_TYPES = (
    "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)  # fmt: skip
_BODIES = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")


@dataclass(frozen=True, slots=True)
class Operation:
    """One verb on one path."""

    path: str
    method: str
    action: str
    kind: Kind
    query: tuple[str, ...]
    #: Name of the definition sent, and of the one answered.
    body: str = ""
    answer: str = ""
    consumes: tuple[str, ...] = ()


def operations(kind: Kind, definition: str, list_definition: str, *, status: str) -> Iterator[Operation]:
    """All operations on a kind's paths. ``status`` names the definition of Status."""
    base = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    scoped = f"{base}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"{base}/{kind.plural}"
    verbs = set(kind.verbs)
    if "list" in verbs:
        if kind.namespaced:
            yield Operation(f"{base}/{kind.plural}", "get", "list", kind, _LIST, answer=list_definition)
        yield Operation(scoped, "get", "list", kind, _LIST, answer=list_definition)
    if "create" in verbs:
        yield Operation(scoped, "post", "post", kind, _WRITE, definition, definition, _BODIES)
    if "deletecollection" in verbs:
        yield Operation(scoped, "delete", "deletecollection", kind, (*_LIST[1:6], *_DELETE), answer=status)
    yield from _item(f"{scoped}/{{name}}", kind, verbs, definition, status)
    for sub in kind.subresources:
        if sub.name in ("status", "scale", "approval", "resize", "ephemeralcontainers"):
            target = definition if sub.name != "scale" else "io.k8s.api.autoscaling.v1.Scale"
            yield from _item(f"{scoped}/{{name}}/{sub.name}", kind, set(sub.verbs), target, status)


def _item(path: str, kind: Kind, verbs: set[str], definition: str, status: str) -> Iterator[Operation]:
    if "get" in verbs:
        yield Operation(path, "get", "get", kind, (), answer=definition)
    if "update" in verbs:
        yield Operation(path, "put", "put", kind, _WRITE, definition, definition, _BODIES)
    if "patch" in verbs:
        yield Operation(path, "patch", "patch", kind, (*_WRITE, "force"), "patch", definition, _PATCH_TYPES)
    if "delete" in verbs:
        yield Operation(path, "delete", "delete", kind, _DELETE, answer=status)


def parameter_type(name: str) -> str:
    return _TYPES.get(name, "string")


def group_version_kind(kind: Kind) -> Object:
    return {"group": kind.group, "version": kind.version, "kind": kind.kind}


def operation_id(operation: Operation) -> str:
    """A name unique in the document: the verb, then the words of the path."""
    words = [word.strip("{}") for word in operation.path.split("/") if word]
    return operation.action + "".join(word[:1].upper() + word[1:].replace(".", "") for word in words)
