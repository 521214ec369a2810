"""The registry as auth, admission and allocators see it: reads from memory, writes the whole way as a system user."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from apiserver.auth.interface import ALL_AUTHENTICATED, SYSTEM_MASTERS, User
from apiserver.registry import deletion
from apiserver.registry.interface import ChangeCallback, Object
from apiserver.registry.resources import Resources
from apiserver.registry.store import ResourceStore
from apiserver.registry.strategy import Write
from apiserver.registry.tracking import set_managed_fields
from apiserver.storage.cacher import Change, Predicate, make_predicate
from machinery.api.kinds import Kind
from machinery.api.schema import schema_for
from machinery.meta.apply import apply_object, reset_fields
from machinery.meta.errors import ApiError, not_found
from machinery.meta.objects import deep_copy

SERVER_USER = User("system:apiserver", groups=(SYSTEM_MASTERS, ALL_AUTHENTICATED))


@lru_cache(1024)
def _everything_of(namespace: str) -> Predicate:
    """Asked for several times in every write, by admission."""
    return make_predicate(namespace=namespace)


class RegistryReader:
    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def get(self, group: str, resource: str, namespace: str, name: str) -> Object | None:
        store = self._resources.find(group, resource)
        entry = store.cacher.get_cached(store.key(namespace, name)) if store is not None else None
        return entry.parsed if entry is not None else None

    def list(self, group: str, resource: str, namespace: str = "") -> Sequence[Object]:
        store = self._resources.find(group, resource)
        if store is None:
            return ()
        return [entry.parsed for entry in store.cacher.list_cached(_everything_of(namespace))]

    def on_change(self, group: str, resource: str, callback: ChangeCallback) -> None:
        store = self._resources.find(group, resource)
        if store is None:
            raise not_found(group, resource, "")

        def report(change: Change) -> None:
            if change.after is None:
                assert change.before is not None
                callback("DELETED", change.before.parsed)
            else:
                callback("ADDED" if change.before is None else "MODIFIED", change.after.parsed)

        store.cacher.observe(report)

    async def get_fresh(self, group: str, resource: str, namespace: str, name: str) -> Object | None:
        store = self._resources.find(group, resource)
        entry = await store.cacher.get(store.key(namespace, name)) if store is not None else None
        return entry.parsed if entry is not None else None


class RegistryWriter:
    """``judged`` False: no admission, no validation; what the server is born with must not wait for a webhook."""

    def __init__(
        self, resources: Resources, user: User = SERVER_USER, manager: str = "kube-apiserver", *, judged: bool = True
    ) -> None:
        self._judged = judged
        self._resources = resources
        self._user = user
        self._manager = manager

    async def create(
        self, group: str, resource: str, namespace: str, obj: Object, *, bypass: bool = False
    ) -> Object:
        store, kind = self._find(group, resource)
        copied = deep_copy(obj)
        copied = {"kind": kind.kind, "apiVersion": kind.api_version, **without_type(copied)}
        copied.setdefault("metadata", {})
        write = self._write(kind, namespace, "")
        write.bypass = bypass or not self._judged
        return (await store.create(write, copied)).obj

    async def update(
        self, group: str, resource: str, namespace: str, name: str, change: Callable[[Object], Object | None],
        *, subresource: str = "",
    ) -> Object:
        store, kind = self._find(group, resource)

        def transform(obj: Object) -> Object:
            changed = change(obj)
            return obj if changed is None else changed

        write = self._write(kind, namespace, name)
        write.subresource, write.bypass = subresource, not self._judged
        return (await store.update(write, transform, patch=True)).obj

    async def apply_status(
        self, group: str, resource: str, namespace: str, name: str, status: Object, *, manager: str
    ) -> Object:
        """Server-side apply of a status: what the server's own upkeep says of an object, under a name of its own."""
        store, kind = self._find(group, resource)
        schema = schema_for(kind)
        write = self._write(kind, namespace, name)
        write.subresource, write.bypass = "status", True

        def transform(live: Object) -> Object:
            config = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": {"name": name}, "status": status}
            applied, managed, _ = apply_object(
                live, config, manager=manager, api_version=kind.api_version, schema=schema, time=write.now, force=True,
                subresource="status", ignored=reset_fields(kind.kind, "status", True),
            )  # fmt: skip
            obj: Object = deep_copy(applied)
            obj["metadata"] = {**live["metadata"], **obj.get("metadata", {})}
            set_managed_fields(obj, managed)
            return obj

        return (await store.update(write, transform, patch=True, tracked=True)).obj

    async def delete(self, group: str, resource: str, namespace: str, name: str) -> None:
        store, kind = self._find(group, resource)
        await deletion.delete(store, self._write(kind, namespace, name))

    async def ensure(self, group: str, resource: str, namespace: str, obj: Object) -> None:
        """Create unless it is there: what the server is born with needs nobody's judgement."""
        try:
            await self.create(group, resource, namespace, obj, bypass=True)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise

    def _find(self, group: str, resource: str) -> tuple[ResourceStore, Kind]:
        store = self._resources.find(group, resource)
        if store is None:
            raise not_found(group, resource, "")
        return store, store.kind

    def _write(self, kind: Kind, namespace: str, name: str) -> Write:
        return Write(kind, self._user, namespace, name, manager=self._manager)


def without_type(obj: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in obj.items() if name not in ("kind", "apiVersion")}
