"""What a kind is: one row of the table that every generic part of the system reads.

There is no class per kind. The registry, discovery, OpenAPI, printing, defaulting and the clients all ask this row
what a resource is called, which verbs it has and where its objects are stored. Rows are frozen and compared by
identity, so that they can be keys of caches; a changed definition (a custom resource) is a new row.
"""

from __future__ import annotations

from dataclasses import dataclass

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
WRITE_VERBS = ("get", "patch", "update")


@dataclass(frozen=True, slots=True, eq=False)
class Subresource:
    """``pods/exec``. ``group``/``version`` are set only where the body's kind lives in another group-version."""

    name: str
    kind: str
    verbs: tuple[str, ...] = WRITE_VERBS
    group: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """One resource in one group-version.

    Invariant: rows that show the same stored objects (HorizontalPodAutoscaler v1 and v2, the two kinds of Event)
    have equal ``storage`` and different group-versions; exactly one of them, the hub, has
    ``(group, version) == hub_version``: that is the form in which bytes are stored.
    """

    group: str
    version: str
    kind: str
    plural: str
    singular: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: tuple[Subresource, ...] = ()
    #: (group, resource) under which objects are kept; None means its own.
    storage: tuple[str, str] | None = None
    #: (group, version) of the stored form; None means its own.
    hub: tuple[str, str] | None = None
    #: Name of the OpenAPI definition; "" where only a custom schema exists.
    schema_name: str = ""
    list_kind: str = ""
    #: Answered by another server (or by a provider inside ours); absent from the table until someone provides it.
    served_elsewhere: bool = False
    #: Defined at run time by a CustomResourceDefinition.
    custom: bool = False

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def group_resource(self) -> str:
        """``deployments.apps``, ``pods``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def group_kind(self) -> str:
        """``Deployment.apps``, ``Pod``."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def storage_resource(self) -> tuple[str, str]:
        return self.storage or (self.group, self.plural)

    @property
    def hub_version(self) -> tuple[str, str]:
        return self.hub or (self.group, self.version)

    @property
    def is_stored(self) -> bool:
        """Reviews and bindings are answered, never kept."""
        return "list" in self.verbs and "watch" in self.verbs and not self.served_elsewhere

    @property
    def list_kind_name(self) -> str:
        return self.list_kind or f"{self.kind}List"

    def subresource(self, name: str) -> Subresource | None:
        for sub in self.subresources:
            if sub.name == name:
                return sub
        return None

    def has_status(self) -> bool:
        return self.subresource("status") is not None

    def __repr__(self) -> str:
        return f"<Kind {self.api_version} {self.kind}>"


def api_path(kind: Kind, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
    """The URL path of a collection, an object or a subresource."""
    path = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    if kind.namespaced and namespace:
        path += f"/namespaces/{namespace}"
    path += f"/{kind.plural}"
    if name:
        path += f"/{name}"
    if subresource:
        path += f"/{subresource}"
    return path
