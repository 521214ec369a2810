"""What every verb needs, in one place: the server's parts, and one request bound to its route."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from apiserver.auth.interface import User
from apiserver.crd.registry import CustomKinds
from apiserver.endpoints.bodies import BodyReader
from apiserver.endpoints.options import WriteOptions
from apiserver.endpoints.output import Presenter, Printers, include_object
from apiserver.registry.pipeline import Schemas
from apiserver.registry.resources import Resources
from apiserver.registry.store import ResourceStore
from apiserver.registry.strategy import Write
from apiserver.server.context import RequestContext
from apiserver.server.negotiate import CUSTOM_TYPES, OBJECT_TYPES, PROTOBUF, MediaType, negotiate
from apiserver.server.responses import PiecedBody, Reply, wants_pretty
from apiserver.server.router import Route
from machinery.api.kinds import Kind
from machinery.api.table import KindTable
from machinery.meta.errors import ApiError

UNKNOWN_AGENT = "unknown"


@dataclass(slots=True)
class Parts:
    """The assembled server, as endpoints see it."""

    kinds: KindTable
    resources: Resources
    schemas: Schemas
    bodies: BodyReader
    printers: Printers
    custom: CustomKinds


class Request:
    """One resource request. Cheap to make: what costs is computed when asked for."""

    def __init__(self, context: RequestContext, route: Route, parts: Parts) -> None:
        self.context = context
        self.route = route
        self.parts = parts

    @property
    def kind(self) -> Kind:
        return self.route.kind

    @property
    def user(self) -> User:
        assert self.context.user is not None
        return self.context.user

    @property
    def subresource(self) -> str:
        return self.route.subresource.name if self.route.subresource is not None else ""

    @cached_property
    def store(self) -> ResourceStore:
        return self.parts.resources.store(self.kind)

    @property
    def types(self) -> tuple[str, ...]:
        return CUSTOM_TYPES if self.kind.custom else OBJECT_TYPES

    def negotiate(self, *, stream: bool = False) -> MediaType:
        try:
            return negotiate(self.context.accept, self.types, transforms=True, stream=stream)
        except ApiError as error:
            if self.kind.custom and PROTOBUF in self.context.accept:  # known, but not for these objects
                known = ", ".join(OBJECT_TYPES)
                raise ApiError(
                    406, "NotAcceptable", f"only the following media types are accepted: {known}", None
                ) from error
            raise

    def presenter(self, media: MediaType, kind: Kind | None = None) -> Presenter:
        include = "Metadata"
        if media.transform == "Table" and self.context.request.query_string:
            include = include_object(self.context.query.get("includeObject"))
        return Presenter(
            kind or self.kind, media, self.parts.printers, include=include, pretty=wants_pretty(self.context)
        )

    def write(self, options: WriteOptions | None = None, *, options_kind: str = "") -> Write:
        options = options or WriteOptions()
        return Write(
            self.kind, self.user, self.route.namespace, self.route.name, self.subresource, options.dry_run,
            self.manager(options), options={"kind": options_kind, "apiVersion": "meta.k8s.io/v1"},
        )  # fmt: skip

    def manager(self, options: WriteOptions) -> str:
        """Who owns the fields of this write: as told, or the first word of the User-Agent."""
        if options.field_manager:
            return options.field_manager
        agent = self.context.request.headers.get("User-Agent", "")
        return agent.partition("/")[0][:128] or UNKNOWN_AGENT

    def take_warnings(self, write: Write) -> None:
        for text in write.warnings:
            self.context.warn(text)


def reply(body: bytes | PiecedBody, media: MediaType, status: int = 200) -> Reply:
    return Reply(body, media.type, status)
