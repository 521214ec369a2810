"""The one generic store: every write of every kind goes through ``create``, ``update`` or ``delete`` here.

Order of a write: defaults → managed fields → mutating admission → allocation → strategy.prepare → defaults again →
schema and semantic validation → validating admission → store. Managed fields come before admission because they tell
what the client wanted; prepare comes after it because a plugin may fill what a strategy then has to judge, and must not
bring back what the strategy takes away (status on create).

Everything before the store is pure but for admission, so a lost race is simply run again from the newest state.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from apiserver.registry import objectmeta
from apiserver.registry.codec import ObjectCodec, encode_stored
from apiserver.registry.fields import INDEXED, fields_of
from apiserver.registry.storage_keys import storage_key
from apiserver.registry.strategy import Strategy, Write
from apiserver.storage.cacher import Cacher, Entry
from apiserver.storage.interface import KeyExists, RevisionMismatch, Storage
from machinery.api.kinds import Kind
from machinery.meta.errors import ApiError, already_exists, conflict, invalid, not_found
from machinery.meta.objects import Object, deep_copy, random_suffix

GENERATE_ATTEMPTS = 8
UPDATE_ATTEMPTS = 25
UNCONDITIONAL = "must be specified for an update"

Transform = Callable[[Object], "Object | Awaitable[Object]"]


class Pipeline(Protocol):
    """What the store needs to know of schemas, managed fields, validation and admission (``registry/pipeline.py``)."""

    def default(self, kind: Kind, obj: Object) -> None: ...

    def track(self, write: Write, obj: Object, old: Object | None) -> None: ...

    def causes(self, write: Write, kind: Kind, obj: Object, old: Object | None) -> list[dict[str, Any]]: ...

    async def admit(self, write: Write, operation: str, obj: Object | None, old: Object | None) -> None: ...

    async def validate_admission(
        self, write: Write, operation: str, obj: Object | None, old: Object | None
    ) -> None: ...

    def now(self) -> str: ...


@dataclass(slots=True)
class Outcome:
    """What a write did. ``obj`` is in the served form with its resourceVersion; ``created`` chooses 201."""

    obj: Object
    created: bool = False
    changed: bool = True
    #: The object is gone (DELETE without anything left to wait for, or its last finalizer was removed).
    deleted: bool = False


class ResourceStore:
    """One stored resource (which may be served in several versions)."""

    def __init__(
        self, hub: Kind, strategy: Strategy, storage: Storage, pipeline: Pipeline, *, rng: random.Random | None = None
    ) -> None:
        self.kind = hub
        self.strategy = strategy
        self.storage = storage
        self.pipeline = pipeline
        self._rng = rng or random.Random()
        group, resource = hub.storage_resource
        self.prefix = f"/registry/{group}/{resource}/" if group else f"/registry/{resource}/"
        self.cacher = Cacher(
            storage, self.prefix, fields_of=fields_of(hub), indexed_fields=INDEXED.get(hub.storage_resource, ())
        )
        self._codecs: dict[int, ObjectCodec] = {}

    # -- reading ---------------------------------------------------------------------------------------------------

    def codec(self, kind: Kind) -> ObjectCodec:
        found = self._codecs.get(id(kind))
        if found is None:
            forward, _ = self.strategy.converters(kind)
            found = self._codecs[id(kind)] = ObjectCodec(kind, convert=forward)
        return found

    def key(self, namespace: str, name: str) -> str:
        return f"{self.prefix}{namespace}/{name}" if namespace else f"{self.prefix}{name}"

    def not_found(self, kind: Kind, name: str) -> ApiError:
        return not_found(kind.group, kind.plural, name)

    async def newest(self, write: Write) -> Entry | None:
        """The object to change. The cache has every write of this process; others' are seen when the write loses."""
        return self.cacher.get_cached(self.key(write.namespace, write.name))

    # -- create ----------------------------------------------------------------------------------------------------

    async def create(self, write: Write, obj: Object, *, tracked: bool = False) -> Outcome:
        kind, pipeline = write.kind, self.pipeline
        write.now = write.now or pipeline.now()
        objectmeta.check_namespace(obj, write.namespace, namespaced=kind.namespaced)
        empties = objectmeta.empty_lists(obj)
        pipeline.default(kind, obj)
        if objectmeta.dedup_owner_references(obj):
            write.warn(_DUPLICATE_OWNERS)
        objectmeta.put_back(empties)
        self.strategy.complete(obj, None)
        if not tracked:
            pipeline.track(write, obj, None)
        obj = self._to_hub(kind, obj)
        meta = obj["metadata"]
        generated = not meta.get("name") and bool(meta.get("generateName"))
        again = orjson.dumps(obj) if generated else b""  # what a taken name starts over from
        for attempt in range(GENERATE_ATTEMPTS if generated else 1):
            candidate = orjson.loads(again) if attempt else obj
            if generated:
                base = meta["generateName"][: objectmeta.MAX_GENERATED_BASE]
                candidate["metadata"]["name"] = base + random_suffix(self._rng)
            try:
                return await self._create_once(write, candidate)
            except KeyExists:
                taken = already_exists(kind.group, kind.plural, candidate["metadata"]["name"])
                if generated and attempt + 1 < GENERATE_ATTEMPTS:
                    continue
                present = self.cacher.get_cached(self.key(write.namespace, candidate["metadata"]["name"]))
                if present is not None and present.parsed["metadata"].get("deletionTimestamp"):
                    taken = objectmeta.already_exists_while_deleting(taken)
                raise taken from None
        raise AssertionError("unreachable")

    async def _create_once(self, write: Write, obj: Object) -> Outcome:
        pipeline, strategy = self.pipeline, self.strategy
        name = write.name = obj["metadata"].get("name") or ""
        await pipeline.admit(write, "CREATE", obj, None)
        if objectmeta.dedup_owner_references(obj):
            write.warn(_DUPLICATE_OWNERS)
        objectmeta.prepare_create(obj, write.now)
        taken = await strategy.begin_write(write, obj, None)
        stored = False
        try:
            strategy.prepare_create(write, obj)
            pipeline.default(self.kind, obj)
            causes = self._causes(write, obj, None)
            if causes:
                raise invalid(self.kind.group, self._kind_of(obj), name, causes)
            self._check_no_revision(obj)
            if not name:
                raise invalid(self.kind.group, self.kind.kind, name, [_NAMELESS])
            await pipeline.validate_admission(write, "CREATE", obj, None)
            key = self.key(write.namespace, name)
            if write.dry_run:
                if self.cacher.get_cached(key) is not None:
                    raise KeyExists(key)
                return Outcome(self.from_hub(write.kind, obj), created=True)
            stored_obj = strategy.stored_form(write.kind, obj)
            revision = await self.storage.create(key, encode_stored(stored_obj), ttl_seconds=strategy.ttl_seconds)
            stored = True
        finally:
            await strategy.end_write(write, taken, stored=stored)
        return Outcome(self.from_hub(write.kind, with_revision(obj, revision)), created=True)

    def _kind_of(self, obj: Object) -> str:
        """A custom resource is called what it calls itself, also where that is wrong."""
        return obj["kind"] if self.kind.custom else self.kind.kind

    @staticmethod
    def _check_no_revision(obj: Object) -> None:
        sent = obj["metadata"].get("resourceVersion")
        if sent and sent != "0" and sent.isdigit():
            raise ApiError(500, "", "resourceVersion should not be set on objects to be created", None)

    # -- update ----------------------------------------------------------------------------------------------------

    async def update(
        self, write: Write, transform: Transform, *, allow_create: bool = False, tracked: bool = False,
        patch: bool = False,
    ) -> Outcome:
        """Read, transform, write; again from the newest state when somebody was faster.

        ``transform`` gets the object in the served form (a copy) and returns the wanted one. ``tracked``: it has taken
        care of managedFields itself (apply). ``patch``: a lost race without a resourceVersion in the patch is tried
        again for the client instead of being reported.
        """
        write.now = write.now or self.pipeline.now()
        entry = await self.newest(write)
        for _ in range(UPDATE_ATTEMPTS):
            if entry is None:
                if not allow_create:
                    raise self.not_found(write.kind, write.name)
                return await self._create_by_update(write, transform, tracked)
            try:
                return await self._update_once(write, entry, transform, tracked=tracked, patch=patch)
            except RevisionMismatch:
                entry = await self.cacher.get(self.key(write.namespace, write.name))
        raise conflict(write.kind.group, write.kind.plural, write.name)

    async def _create_by_update(self, write: Write, transform: Transform, tracked: bool) -> Outcome:
        obj = await _call(transform, {})
        meta = obj["metadata"]
        if meta.get("uid"):
            raise conflict(
                write.kind.group, write.kind.plural, write.name,
                f"uid mismatch: the provided object specified uid {meta['uid']}, and no existing object was found"
                if tracked else f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: ",
            )  # fmt: skip
        try:
            return await self.create(write, obj, tracked=tracked)
        except KeyExists:
            raise already_exists(write.kind.group, write.kind.plural, write.name) from None

    async def _update_once(
        self, write: Write, entry: Entry, transform: Transform, *, tracked: bool, patch: bool
    ) -> Outcome:
        kind, pipeline, strategy = write.kind, self.pipeline, self.strategy
        old = self.codec(kind).parsed(entry)
        old_hub = old if kind.custom else entry.parsed
        obj = await _call(transform, deep_copy(old))
        empties = objectmeta.empty_lists(obj)
        pipeline.default(kind, obj)
        self._check_revision(write, obj, entry)
        if not tracked:
            objectmeta.put_back(empties)
            if objectmeta.dedup_owner_references(obj):
                write.warn(_DUPLICATE_OWNERS)
            strategy.complete(obj, old)
            pipeline.track(write, obj, old)
        obj = self._to_hub(kind, obj)
        objectmeta.check_namespace(obj, write.namespace, namespaced=kind.namespaced)
        sent_uid = obj["metadata"].get("uid")
        if sent_uid and sent_uid != old_hub["metadata"]["uid"] and not patch:
            raise conflict(
                kind.group, kind.plural, write.name,
                f"StorageError: invalid object, Code: 4, "
                f"Key: {storage_key(kind, write.namespace, write.name, dry_run=write.dry_run)}, ResourceVersion: 0, "
                f"AdditionalErrorMsg: Precondition failed: UID in precondition: {sent_uid}, "
                f"UID in object meta: {old_hub['metadata']['uid']}",
            )  # fmt: skip
        await pipeline.admit(write, "UPDATE", obj, old_hub)
        objectmeta.prepare_update(obj, old_hub)
        taken = await strategy.begin_write(write, obj, old_hub)
        stored = False
        try:
            if write.subresource:
                strategy.prepare_subresource_update(write, obj, old_hub)
            else:
                strategy.prepare_update(write, obj, old_hub)
            pipeline.default(self.kind, obj)
            causes = objectmeta.update_causes(obj, old_hub) + self._causes(write, obj, old_hub)
            if causes:
                raise invalid(self.kind.group, self._kind_of(obj), write.name, causes)
            await pipeline.validate_admission(write, "UPDATE", obj, old_hub)
            obj["metadata"]["resourceVersion"] = str(entry.revision)
            if strategy.stored_form(kind, obj) == entry.parsed:
                return Outcome(self.from_hub(kind, obj), changed=False)
            if write.dry_run:
                return Outcome(self.from_hub(kind, obj))
            outcome = await self._store_update(write, entry, obj)
            stored = not outcome.deleted
            return outcome
        finally:
            await strategy.end_write(write, taken, stored=stored)

    async def _store_update(self, write: Write, entry: Entry, obj: Object) -> Outcome:
        strategy = self.strategy
        if self._is_finished(obj):
            _, revision = await self.storage.delete(entry.key, expected_revision=entry.revision)
            await strategy.after_delete(obj)
            return Outcome(self.from_hub(write.kind, with_revision(obj, revision)), deleted=True)
        stored = encode_stored(strategy.stored_form(write.kind, obj))
        revision = await self.storage.update(
            entry.key, stored, expected_revision=entry.revision, ttl_seconds=strategy.ttl_seconds
        )
        return Outcome(self.from_hub(write.kind, with_revision(obj, revision)))

    def _check_revision(self, write: Write, obj: Object, entry: Entry) -> None:
        sent = obj["metadata"].get("resourceVersion") or ""
        if sent in ("", "0"):
            if self.strategy.unconditional_update or write.subresource == "scale":
                return
            raise invalid(write.kind.group, write.kind.plural, write.name, [{
                "reason": "FieldValueInvalid", "message": f"Invalid value: 0: {UNCONDITIONAL}",
                "field": "metadata.resourceVersion",
            }])  # fmt: skip
        if not sent.isascii() or not sent.isdigit():
            raise ApiError(500, "", f'strconv.ParseUint: parsing "{sent}": invalid syntax', None)
        if int(sent) != entry.revision:
            raise conflict(write.kind.group, write.kind.plural, write.name)

    def _is_finished(self, obj: Object) -> bool:
        """Marked for deletion, and nothing is waited for any more."""
        meta = obj["metadata"]
        return bool(meta.get("deletionTimestamp")) and not meta.get("finalizers") and not (
            meta.get("deletionGracePeriodSeconds") or self.holds(obj)
        )

    @staticmethod
    def holds(obj: Object) -> bool:
        """A namespace is held by the finalizers of its spec."""
        return obj["kind"] == "Namespace" and bool((obj.get("spec") or {}).get("finalizers"))

    def _causes(self, write: Write, obj: Object, old: Object | None) -> list[dict[str, Any]]:
        return self.pipeline.causes(write, self.kind, obj, old) + self.strategy.validate(write, obj, old)

    # -- versions --------------------------------------------------------------------------------------------------

    def _to_hub(self, kind: Kind, obj: Object) -> Object:
        if kind is self.kind or kind.custom:
            return obj
        _, back = self.strategy.converters(kind)
        return back(obj) if back is not None else obj

    def from_hub(self, kind: Kind, obj: Object) -> Object:
        forward, _ = self.strategy.converters(kind)
        return forward(obj) if forward is not None else obj


_NAMELESS = {
    "reason": "FieldValueRequired", "message": "Required value: name or generateName is required",
    "field": "metadata.name",
}  # fmt: skip
_DUPLICATE_OWNERS = (
    ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject "
    "such requests as early as 1.24; please fix your requests"
)


async def _call(transform: Transform, obj: Object) -> Object:
    result = transform(obj)
    return result if isinstance(result, dict) else await result


def with_revision(obj: Object, revision: int) -> Object:
    obj["metadata"]["resourceVersion"] = str(revision)
    return obj
