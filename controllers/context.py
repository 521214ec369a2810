"""What every controller is given: the API, shared informers, time, chance, the options. Nothing else is global.

The context also owns the event recorders (one a component name, because ``source.component`` is visible to users) and
one gate that bounds how many writes run at a time: a burst of a thousand pods must not open a thousand connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from controllers.identities import Identities
from controllers.options import Options
from machinery.cache.informer import Informer, InformerFactory
from machinery.client import Client
from machinery.runtime.clock import SYSTEM_CLOCK, Clock
from machinery.runtime.events import EventRecorder

Object = dict[str, Any]
T = TypeVar("T")

PARALLEL_WRITES = 24


def controller_uid_index(obj: Object) -> Sequence[str]:
    for reference in obj["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return (reference["uid"],)
    return ()


def orphan_index(obj: Object) -> Sequence[str]:
    """Namespaces of objects that no controller owns: where adoption looks."""
    return () if controller_uid_index(obj) else (obj["metadata"].get("namespace") or "",)


def namespace_index(obj: Object) -> Sequence[str]:
    return (obj["metadata"].get("namespace") or "",)


def node_index(pod: Object) -> Sequence[str]:
    node = pod.get("spec", {}).get("nodeName")
    return (node,) if node else ()


def drop_managed_fields(obj: Object) -> Object:
    """No controller reads managed fields, and they are a third of an object."""
    obj["metadata"].pop("managedFields", None)
    return obj


class SharedInformers(InformerFactory):
    """Knows which resources are followed whole, so that the garbage collector need not follow them a second time."""

    def __init__(self, client: Client, transform: Callable[[Object], Object] | None = None) -> None:
        super().__init__(client, transform=transform)
        self._whole: dict[tuple[str, str], Informer] = {}

    def informer(self, gv: str, plural: str, **options: Any) -> Informer:
        found = super().informer(gv, plural, **options)
        if not any(options.get(name) for name in ("namespace", "label_selector", "field_selector", "metadata_only")):
            self._whole[gv, plural] = found
        return found

    def metadata(self, gv: str, plural: str) -> Informer:
        """A copy that has at least the metadata: the whole one when there is one."""
        whole = self._whole.get((gv, plural))
        return whole if whole is not None else super().informer(gv, plural, metadata_only=True)


@dataclass
class Context:
    client: Client
    informers: SharedInformers
    options: Options
    clock: Clock = SYSTEM_CLOCK

    def __post_init__(self) -> None:
        self.identities = Identities(
            self.client, self.clock, use_service_accounts=self.options.use_service_account_credentials
        )
        self._recorders: dict[str, EventRecorder] = {}
        self._gate = asyncio.Semaphore(PARALLEL_WRITES)

    def recorder(self, component: str) -> EventRecorder:
        if component not in self._recorders:
            self._recorders[component] = EventRecorder(self.client, component, clock=self.clock)
        return self._recorders[component]

    def root_ca(self) -> bytes:
        """The certificates by which clients inside the cluster trust the API server: given, or those we trust it by."""
        if self.options.root_ca_file:
            return Path(self.options.root_ca_file).read_bytes()
        config = self.client.config
        return Path(config.ca_file).read_bytes() if config.ca_file else config.ca_data

    def client_for(self, account: str) -> Client:
        """The client by which a controller writes."""
        return self.identities.client(account)

    @property
    def recorders(self) -> dict[str, EventRecorder]:
        return self._recorders

    def pods(self) -> Informer:
        return self.informers.informer(
            "v1", "pods", indexers={
                "controller": controller_uid_index, "orphan": orphan_index, "namespace": namespace_index,
                "node": node_index,
            },
        )  # fmt: skip

    def owned(self, gv: str, plural: str) -> Informer:
        """The informer of a resource that controllers own, indexed for claiming."""
        return self.informers.informer(
            gv, plural, indexers={
                "controller": controller_uid_index, "orphan": orphan_index, "namespace": namespace_index,
            },
        )  # fmt: skip

    def namespaced(self, gv: str, plural: str) -> Informer:
        return self.informers.informer(gv, plural, indexers={"namespace": namespace_index})

    async def gated(self, work: Awaitable[T]) -> T:
        async with self._gate:
            return await work


@dataclass(frozen=True)
class Started:
    """Of a slow start: how many were made, how many were tried, and the first error."""

    done: int
    tried: int
    error: Exception | None


async def slow_start(count: int, create: Callable[[int], Awaitable[Any]]) -> Started:
    """Create ``count`` things in batches of 1, 2, 4 …; stop after the first batch with a failure.

    So a creation that can only fail (quota, bad template) fails once, not a thousand times.
    """
    done = at = 0
    size = 1
    while at < count:
        batch = range(at, min(at + size, count))
        results = await asyncio.gather(*(create(number) for number in batch), return_exceptions=True)
        errors = [result for result in results if isinstance(result, BaseException)]
        done += len(batch) - len(errors)
        at += len(batch)
        size *= 2
        for error in errors:
            if not isinstance(error, Exception):
                raise error
        if errors:
            return Started(done, at, errors[0])  # type: ignore[arg-type]
    return Started(done, at, None)
