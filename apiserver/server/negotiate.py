"""Which representation the client gets: the ``Accept`` header against what an endpoint can write.

Two steps with two different complaints, as clients know them: the route refuses when no clause names a type that it
produces at all; the handler refuses when the clauses that do carry parameters (``as=Table;…``) that it cannot meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from machinery.meta.errors import ApiError

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"

OBJECT_TYPES = (JSON, YAML, PROTOBUF)
#: Custom resources have no protobuf form.
CUSTOM_TYPES = (JSON, YAML)
STREAM_SUFFIX = (f"{JSON};stream=watch", f"{PROTOBUF};stream=watch")

META_GROUP = "meta.k8s.io"
TRANSFORMS = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")


class RouteError(ApiError):
    """Refused before an endpoint was chosen (or by the conversion to a Table): shown indented, as upstream does."""


@dataclass(frozen=True, slots=True)
class MediaType:
    """A negotiated answer: the type and, if asked for, the transformation (``as``) and its version."""

    type: str
    transform: str = ""
    version: str = ""
    pretty: bool = False

    @property
    def api_version(self) -> str:
        return f"{META_GROUP}/{self.version}"


@dataclass(frozen=True, slots=True)
class Clause:
    """One alternative of an Accept header."""

    type: str
    subtype: str
    quality: float
    params: tuple[tuple[str, str], ...]

    def param(self, name: str) -> str:
        for key, value in self.params:
            if key == name:
                return value
        return ""


PLAIN_JSON = MediaType(JSON)


@lru_cache(maxsize=512)
def parse_accept(header: str) -> tuple[Clause, ...]:
    """Clauses, best first: by quality, then the more specific."""
    clauses = []
    for part in header.split(","):
        media, *raw_params = (piece.strip() for piece in part.split(";"))
        if not media:
            continue
        main, _, sub = media.partition("/")
        quality, params = 1.0, []
        for raw in raw_params:
            key, _, value = raw.partition("=")
            key, value = key.strip(), value.strip().strip('"')
            if key == "q":
                try:
                    quality = float(value)
                except ValueError:
                    quality = 1.0
            elif key:
                params.append((key, value))
        clauses.append(Clause(main, sub, quality, tuple(params)))
    clauses.sort(key=lambda c: (-c.quality, c.type == "*", c.subtype == "*"))
    return tuple(clauses)


@lru_cache(maxsize=512)
def negotiate(header: str, types: tuple[str, ...], *, transforms: bool = False, stream: bool = False) -> MediaType:
    """The answer for an endpoint that writes ``types``. Raises 406."""
    if not header:
        return MediaType(types[0])
    clauses = parse_accept(header)
    if not any(f"{c.type}/{c.subtype}" in types or (c.type == "*" and c.subtype == "*") for c in clauses):
        shown = types + STREAM_SUFFIX if stream else types
        raise RouteError(
            406, "NotAcceptable", f"406: Not Acceptable\n\nAvailable representations: {', '.join(shown)}", {}
        )
    return _best(clauses, types, transforms, types)


@lru_cache(maxsize=512)
def negotiate_stream(header: str, types: tuple[str, ...]) -> MediaType:
    """The form of a watch: the route knows all types, the stream itself has no YAML."""
    negotiate(header, types, transforms=True, stream=True)
    streams = tuple(each for each in types if each != YAML)
    if not header:
        return MediaType(streams[0])
    return _best(parse_accept(header), streams, True, tuple(f"{each};stream=watch" for each in streams))


def _best(
    clauses: tuple[Clause, ...], types: tuple[str, ...], transforms: bool, shown: tuple[str, ...]
) -> MediaType:
    for clause in clauses:
        for offered in types:
            main, _, sub = offered.partition("/")
            if clause.type not in ("*", main) or clause.subtype not in ("*", sub):
                continue
            found = _accept(clause, offered, transforms)
            if found is not None:
                return found
    raise ApiError(
        406, "NotAcceptable", f"only the following media types are accepted: {', '.join(shown)}", None
    )


def _accept(clause: Clause, offered: str, transforms: bool) -> MediaType | None:
    transform = clause.param("as")
    pretty = clause.param("pretty") == "1"
    if not transform:
        return MediaType(offered, pretty=pretty)
    version = clause.param("v")
    known = transform in TRANSFORMS and clause.param("g") == META_GROUP and version in ("v1", "v1beta1")
    return MediaType(offered, transform, version, pretty) if transforms and known else None


def status_type(header: str) -> str:
    """The type of an error document: what the client asked for if it can be met, else JSON."""
    try:
        return negotiate(header, OBJECT_TYPES).type
    except ApiError:
        return JSON
