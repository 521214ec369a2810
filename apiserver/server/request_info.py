"""What a URL asks for, read once and before anyone knows who asks.

Authorization, audit, flow control and routing all look at the same answer, so that what was authorized is what is
done. The reading is purely textual: whether the resource exists is decided by the router, after authorization.
"""

from __future__ import annotations

from dataclasses import dataclass

VERB_OF_METHOD = {
    "POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete",
}  # fmt: skip

#: Subresources of a namespace; anything else below /namespaces/NAME is a resource in it.
_NAMESPACE_SUBRESOURCES = frozenset(("status", "finalize"))


@dataclass(slots=True)
class RequestInfo:
    """``parts`` is the path below group and version, as it was written (percent-decoded per segment)."""

    path: str
    verb: str
    is_resource: bool = False
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    parts: tuple[str, ...] = ()
    #: True for the old ``/watch/`` paths.
    legacy_watch: bool = False


def parse_request_info(method: str, path: str) -> RequestInfo:
    """``path`` is decoded except for ``%2F``. The list and watch verbs need the query: see ``refine_collection``."""
    info = RequestInfo(path, method.lower())
    parts = path.strip("/").split("/")
    if len(parts) < 3 or path.startswith("//"):
        return info
    if parts[0] == "api":
        info.version, rest = parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        info.group, info.version, rest = parts[1], parts[2], parts[3:]
    else:
        return info

    info.is_resource = True
    info.verb = VERB_OF_METHOD.get(method, "")
    if rest[0] == "watch" and len(rest) > 1:
        info.verb, info.legacy_watch, rest = "watch", True, rest[1:]
    info.parts = tuple(rest)

    if rest[0] == "namespaces" and len(rest) > 1:
        info.namespace = rest[1]
        if len(rest) > 2 and rest[2] not in _NAMESPACE_SUBRESOURCES:
            rest = rest[2:]
    if rest:
        info.resource = rest[0]
    if len(rest) > 1:
        info.name = rest[1]
    if len(rest) > 2:
        info.subresource = rest[2]
    return info


def refine_collection(info: RequestInfo, *, watch: bool, field_name: str | None) -> None:
    """A GET or DELETE without a name is about a collection. ``field_name`` is the value of ``metadata.name`` in the
    field selector: it counts as the name for authorization, so that ``resourceNames`` can allow list and watch."""
    if info.verb == "get" and not info.name:
        info.verb = "watch" if watch else "list"
    elif info.verb == "delete" and not info.name:
        info.verb = "deletecollection"
    if info.verb in ("list", "watch", "deletecollection") and not info.name and field_name:
        info.name = field_name


def is_long_running(info: RequestInfo) -> bool:
    return info.verb == "watch" or info.subresource in ("log", "exec", "attach", "portforward", "proxy")
