"""From what a URL says to what answers it: the table of kinds decides which resources and verbs exist.

Runs after authorization: whoever may not look does not learn what there is. Complaints are upstream's: an unknown
group is not an API at all (plain text), everything below a known group is answered with a Status.
"""

from __future__ import annotations

from dataclasses import dataclass

from apiserver.server.request_info import RequestInfo
from machinery.api.kinds import Kind, Subresource
from machinery.api.table import KindTable
from machinery.meta.errors import ApiError, not_found

NOT_FOUND_MESSAGE = "the server could not find the requested resource"
METHOD_MESSAGE = "the server does not allow this method on the requested resource"


class UnknownGroup(Exception):
    """No API here at all."""


@dataclass(frozen=True, slots=True)
class Route:
    """A resource request that can be answered. ``verb`` is one of the row's (or the subresource's) verbs."""

    kind: Kind
    verb: str
    namespace: str
    name: str
    subresource: Subresource | None = None
    #: What follows ``proxy`` in the path, with its slash; "" when nothing follows.
    proxy_path: str = ""


def no_such_resource() -> ApiError:
    return ApiError(404, "NotFound", NOT_FOUND_MESSAGE, {})


def no_such_method() -> ApiError:
    return ApiError(405, "MethodNotAllowed", METHOD_MESSAGE, {})


#: Which HTTP methods stand for which verbs on each form of path.
_OBJECT_VERBS = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_COLLECTION_VERBS = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
_CONNECT_SUBRESOURCES = frozenset(("exec", "attach", "portforward", "proxy", "log"))


class Router:
    def __init__(self, kinds: KindTable) -> None:
        self._kinds = kinds

    def route(self, info: RequestInfo, method: str) -> Route:
        parts = info.parts
        namespace, rest = _split_namespace(parts)
        kind = self._kinds.by_resource(info.group, info.version, rest[0]) if rest and rest[0] else None
        if kind is None:
            raise self._missing(info)
        if "" in rest[1:2] and len(rest) == 2:
            rest = rest[:1]
        if info.legacy_watch:
            return self._watch_route(kind, method, namespace, rest)
        if len(rest) == 1:
            return self._collection(kind, method, namespace)
        if kind.namespaced != (namespace is not None) or not rest[1]:
            raise UnknownGroup() if kind.custom else no_such_resource()
        if "%2F" in rest[1]:
            raise no_such_resource()
        if len(rest) == 2:
            return self._object(kind, method, namespace or "", rest[1])
        return self._subresource(kind, method, namespace or "", rest)

    def _missing(self, info: RequestInfo) -> Exception:
        if info.group:
            # A custom group ends where its versions and resources do.
            rows = [kind for kind in self._kinds if kind.group == info.group]
            if not rows or all(kind.custom for kind in rows):
                return UnknownGroup()
        return no_such_resource()

    def _collection(self, kind: Kind, method: str, namespace: str | None) -> Route:
        if namespace is not None and not kind.namespaced:
            raise UnknownGroup() if kind.custom else no_such_resource()
        verb = _COLLECTION_VERBS.get(method)
        across = kind.namespaced and namespace is None
        if verb is None or verb not in kind.verbs or (across and verb != "list"):
            raise no_such_method()
        return Route(kind, verb, namespace or "", "")

    def _object(self, kind: Kind, method: str, namespace: str, name: str) -> Route:
        if "get" not in kind.verbs and "update" not in kind.verbs and "delete" not in kind.verbs:
            raise no_such_resource()
        verb = _OBJECT_VERBS.get(method)
        if verb is None or verb not in kind.verbs:
            raise no_such_method()
        return Route(kind, verb, namespace, name)

    def _subresource(self, kind: Kind, method: str, namespace: str, rest: tuple[str, ...]) -> Route:
        sub = kind.subresource(rest[2])
        if sub is None and kind.custom:
            raise not_found(kind.group, kind.plural, rest[1])
        if sub is None or (len(rest) > 3 and sub.name != "proxy"):
            raise no_such_resource()
        verb = {**_OBJECT_VERBS, "POST": "create", "HEAD": "get", "OPTIONS": "get"}.get(method)
        if sub.name != "proxy" and method in ("HEAD", "OPTIONS"):
            verb = None
        if verb is None or verb not in sub.verbs:
            raise no_such_method()
        tail = "/" + "/".join(rest[3:]) if len(rest) > 3 else ""
        return Route(kind, verb, namespace, rest[1], sub, tail)

    def _watch_route(self, kind: Kind, method: str, namespace: str | None, rest: tuple[str, ...]) -> Route:
        if len(rest) > 2 or (namespace is not None and not kind.namespaced):
            raise no_such_resource()
        if len(rest) == 2 and kind.namespaced and namespace is None:
            raise no_such_resource()
        if "watch" not in kind.verbs:
            raise no_such_resource()
        if method != "GET":
            raise no_such_method()
        return Route(kind, "watch", namespace or "", rest[1] if len(rest) == 2 else "")


def _split_namespace(parts: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """The namespace in the path (None: no namespace part) and what follows. ``/namespaces/x/status`` is an object."""
    if parts[0] == "namespaces" and len(parts) > 2 and parts[2] not in ("status", "finalize", ""):
        return parts[1], parts[2:]
    return None, parts
