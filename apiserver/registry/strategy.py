"""What a kind may do differently on the one generic path: a strategy is a row of small pure decisions.

The base class is right for most kinds; ``strategies/`` holds the rest, a small file a group of kinds. A strategy never
reads the store: what it needs (allocators, the clock, another kind's object) it is given when it is made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from apiserver.auth.interface import User
from apiserver.registry.conversion import Converter, converters
from machinery.api.kinds import Kind
from machinery.meta.objects import Object

Cause = dict[str, Any]


@dataclass(slots=True)
class Write:
    """One write on its way through the registry: who wants what, and what to tell them."""

    kind: Kind
    user: User
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    dry_run: bool = False
    #: Name of the field manager; "" leaves managedFields alone.
    manager: str = ""
    #: The stamp of this write, RFC 3339.
    now: str = ""
    #: The server's own step of a request that was already admitted: no admission, no validation of the change.
    bypass: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    audit: dict[str, str] = field(default_factory=dict)

    def warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)


class Strategy:
    """Defaults for every kind."""

    #: An update without resourceVersion overwrites.
    unconditional_update = True
    #: A PUT of what is not there creates it.
    create_on_update = False
    #: DELETE answers with the object instead of a Status.
    returns_deleted = False
    #: The garbage collector's policy when a client names none.
    default_propagation = "Background"
    #: Seconds after which an object goes by itself; 0 = never.
    ttl_seconds = 0
    #: generation starts at 1 and counts changes of the parts named here; () = the kind has no generation.
    generation_fields: tuple[str, ...] = ()
    #: status exists and belongs to its subresource.
    has_status = False

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.has_status = kind.has_status()

    # -- versions

    def converters(self, kind: Kind) -> tuple[Converter | None, Converter | None]:
        """(stored → served as ``kind``, back); None where nothing has to be done."""
        return converters(self.kind, kind)

    def stored_form(self, kind: Kind, obj: Object) -> Object:
        """What is written of an object that was judged in the form of ``kind``."""
        return obj

    def complete(self, obj: Object, old: Object | None) -> None:
        """What the kind's own conversion adds before anyone looks (and before ownership is recorded)."""

    # -- create

    def prepare_create(self, write: Write, obj: Object) -> None:
        if self.has_status:
            obj.pop("status", None)
        if self.generation_fields:
            obj["metadata"]["generation"] = 1

    # -- update

    def prepare_update(self, write: Write, obj: Object, old: Object) -> None:
        """Of the object itself: status stays what it was."""
        if self.has_status:
            keep(obj, old, "status")
        self.count_generation(obj, old)

    def prepare_status_update(self, write: Write, obj: Object, old: Object) -> None:
        """Through ``/status``: everything but status (and the metadata that may ride along) stays what it was."""
        for name in list(obj):
            if name not in ("status", "metadata", "kind", "apiVersion"):
                del obj[name]
        for name, value in old.items():
            if name not in ("status", "metadata", "kind", "apiVersion"):
                obj[name] = value

    def prepare_subresource_update(self, write: Write, obj: Object, old: Object) -> None:
        """Other subresources that show the whole object."""
        if write.subresource == "status":
            self.prepare_status_update(write, obj, old)
        elif write.subresource == "scale":
            self.prepare_update(write, obj, old)

    def count_generation(self, obj: Object, old: Object) -> None:
        if self.generation_fields and any(obj.get(name) != old.get(name) for name in self.generation_fields):
            obj["metadata"]["generation"] = (old["metadata"].get("generation") or 0) + 1

    # -- both

    def validate(self, write: Write, obj: Object, old: Object | None) -> list[Cause]:
        """Causes beside those of schema and ``apiserver.validation``."""
        return []

    async def begin_write(self, write: Write, obj: Object, old: Object | None) -> Any:
        """Take what must be unique in the cluster (addresses, ports), after validation and before the write. The
        answer is handed to ``end_write``."""
        return None

    async def end_write(self, write: Write, taken: Any, *, stored: bool) -> None:
        """Keep or give back what ``begin_write`` took."""

    async def after_delete(self, obj: Object) -> None:
        """Give back what the object held."""

    # -- delete

    def before_delete(self, obj: Object, now: str) -> Object:
        """The object as its deletion finds it: what the kind adds (a copy) so that something waits for it."""
        return obj

    def graceful_seconds(self, obj: Object, asked: int | None) -> int | None:
        """Seconds that the object lives on after DELETE; None: the kind knows no grace."""
        return None

    def propagation(self, write: Write) -> str:
        return self.default_propagation


def keep(obj: Object, old: Object, *names: str) -> None:
    """The parts named are what they were."""
    for name in names:
        if name in old:
            obj[name] = old[name]
        else:
            obj.pop(name, None)


class SpecStrategy(Strategy):
    """Kinds whose generation counts changes of spec."""

    generation_fields = ("spec",)
