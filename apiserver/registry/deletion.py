"""DELETE: what it does to an object, decided purely, then carried out on the generic store.

Three ends: the object is only marked (a finalizer or grace holds it), it goes at once, or nothing changes (it was
already marked). The decision is upstream's: finalizers for the garbage collector follow from the propagation policy,
and a second DELETE may shorten the grace but never lengthen it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from apiserver.registry.codec import encode_stored
from apiserver.registry.store import UPDATE_ATTEMPTS, Outcome, ResourceStore, with_revision
from apiserver.registry.strategy import Write
from apiserver.storage.cacher import Entry
from apiserver.storage.interface import RevisionMismatch
from machinery.meta.errors import conflict
from machinery.meta.objects import Object, deep_copy, format_time, parse_time

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"


@dataclass(frozen=True, slots=True)
class Decision:
    """``marked`` is the object as it stays (or as it is shown when it goes); None when nothing of it changes."""

    marked: Object | None
    gone: bool
    #: The mark is written before the removal, so that watchers see the grace run out.
    mark_first: bool = False


def plan_deletion(
    obj: Object, *, policy: str, orphan_dependents: bool | None, grace_seconds: int | None, asked_seconds: int | None,
    now: datetime, held: bool, default_policy: str,
) -> Decision:
    """``grace_seconds``: what the kind makes of ``asked_seconds``; None if the kind knows no grace. ``held``: something
    beside metadata keeps the object (a namespace's spec)."""
    changed = deep_copy(obj)
    new = changed["metadata"]
    marked = False
    if grace_seconds is not None:
        outcome = _shorten(new, asked_seconds) if new.get("deletionTimestamp") else _begin(new, grace_seconds, now)
        if outcome is None and new.get("deletionGracePeriodSeconds"):
            return Decision(None, False)
        marked = bool(outcome)
    finalizers = _finalizers(obj["metadata"], policy, orphan_dependents, default_policy)
    if finalizers:
        new["finalizers"] = finalizers
    else:
        new.pop("finalizers", None)
    if held:
        if not new.get("deletionTimestamp"):
            new["deletionTimestamp"] = format_time(now)
        return Decision(changed if changed != obj else None, False)
    if finalizers:
        if not marked:
            _mark(new, now)
        return Decision(changed if changed != obj else None, False)
    if new.get("deletionGracePeriodSeconds") and grace_seconds is not None:
        return Decision(changed, False)
    return Decision(changed, True, mark_first=marked)


def _begin(meta: dict[str, Any], seconds: int, now: datetime) -> bool:
    meta["deletionTimestamp"] = format_time(now + timedelta(seconds=seconds))
    meta["deletionGracePeriodSeconds"] = seconds
    if meta.get("generation"):
        meta["generation"] += 1
    return True


def _shorten(meta: dict[str, Any], asked: int | None) -> bool | None:
    """A second DELETE may only shorten the grace. None: nothing to shorten."""
    before = meta.get("deletionGracePeriodSeconds")
    if before is None:
        return False
    if asked is None or asked >= before:
        return None
    started = parse_time(meta["deletionTimestamp"]) - timedelta(seconds=before)
    meta["deletionTimestamp"] = format_time(started + timedelta(seconds=asked))
    meta["deletionGracePeriodSeconds"] = asked
    return True


def _mark(meta: dict[str, Any], now: datetime) -> None:
    """Waiting for finalizers, without grace."""
    if meta.get("deletionGracePeriodSeconds") is None and meta.get("generation"):
        meta["generation"] += 1
    if not meta.get("deletionTimestamp"):
        meta["deletionTimestamp"] = format_time(now)
    meta["deletionGracePeriodSeconds"] = 0


def _finalizers(
    meta: dict[str, Any], policy: str, orphan_dependents: bool | None, default_policy: str
) -> list[str]:
    kept = [name for name in meta.get("finalizers") or () if name not in (FOREGROUND, ORPHAN)]
    present = [name for name in meta.get("finalizers") or () if name in (FOREGROUND, ORPHAN)]
    if orphan_dependents is not None:
        return [*kept, ORPHAN] if orphan_dependents else kept
    if policy == "Orphan":
        return [*kept, ORPHAN]
    if policy == "Foreground":
        return [*kept, FOREGROUND]
    if policy == "Background":
        return kept
    if present:
        return list(meta.get("finalizers") or ())
    return [*kept, ORPHAN] if default_policy == "Orphan" else kept


def check_preconditions(write: Write, obj: Object, uid: str | None, resource_version: str | None) -> None:
    kind, meta = write.kind, obj["metadata"]
    if uid is not None and uid != meta["uid"]:
        raise conflict(
            kind.group, kind.kind, write.name,
            f"the UID in the precondition ({uid}) does not match the UID in record ({meta['uid']}). "
            "The object might have been deleted and then recreated",
        )  # fmt: skip
    if resource_version is not None and resource_version != meta["resourceVersion"]:
        raise conflict(
            kind.group, kind.kind, write.name,
            f"the ResourceVersion in the precondition ({resource_version}) does not match the ResourceVersion in "
            f"record ({meta['resourceVersion']}). The object might have been modified",
        )  # fmt: skip


async def delete(
    store: ResourceStore, write: Write, *, policy: str = "", orphan_dependents: bool | None = None,
    grace_seconds: int | None = None, uid: str | None = None, resource_version: str | None = None,
) -> Outcome:
    pipeline, strategy = store.pipeline, store.strategy
    entry = await store.newest(write)
    admitted = False
    ours: Object | None = None  # as it was with our mark on it
    for _ in range(UPDATE_ATTEMPTS):
        if ours is not None and (entry is None or entry.parsed["metadata"]["uid"] != ours["metadata"]["uid"]):
            # Whoever waited for the mark was quicker than we (a pod's agent): what was asked for is done.
            return Outcome(store.from_hub(write.kind, ours), deleted=True)
        if entry is None:
            raise store.not_found(write.kind, write.name)
        obj = entry.parsed
        check_preconditions(write, obj, uid, resource_version)
        if not admitted:
            await pipeline.admit(write, "DELETE", None, obj)
            await pipeline.validate_admission(write, "DELETE", None, obj)
            admitted = True
        obj = strategy.before_delete(obj, pipeline.now())
        asked = grace_seconds if grace_seconds is None or grace_seconds >= 0 else 1
        unsaid = not policy and orphan_dependents is None
        default_policy = strategy.propagation(write) if unsaid else strategy.default_propagation
        decision = plan_deletion(
            obj, policy=policy, orphan_dependents=orphan_dependents,
            grace_seconds=strategy.graceful_seconds(obj, asked), asked_seconds=asked, now=datetime.now(UTC),
            held=store.holds(obj), default_policy=default_policy,
        )  # fmt: skip
        try:
            return await _carry_out(store, write, entry, decision)
        except _Overtaken as overtaken:
            ours = overtaken.marked
        except RevisionMismatch:
            pass
        entry = await store.cacher.get(entry.key)
    raise conflict(write.kind.group, write.kind.plural, write.name)


class _Overtaken(RevisionMismatch):
    """The object was marked for its end, and then somebody else changed or removed it first."""

    def __init__(self, mismatch: RevisionMismatch, marked: Object) -> None:
        super().__init__(mismatch.key, mismatch.current)
        self.marked = marked


async def _carry_out(store: ResourceStore, write: Write, entry: Entry, decision: Decision) -> Outcome:
    marked = decision.marked
    if marked is not None and store.kind.kind == "Namespace" and not decision.gone:
        marked.setdefault("status", {})["phase"] = "Terminating"
    if decision.gone:
        obj = marked if marked is not None else deep_copy(entry.parsed)
        if not write.dry_run:
            expected = entry.revision
            if decision.mark_first and obj["metadata"] != entry.parsed["metadata"]:
                expected = await store.storage.update(entry.key, encode_stored(obj), expected_revision=expected)
            try:
                _, revision = await store.storage.delete(entry.key, expected_revision=expected)
            except RevisionMismatch as mismatch:
                if expected != entry.revision:
                    raise _Overtaken(mismatch, with_revision(obj, expected)) from mismatch
                raise
            await store.strategy.after_delete(obj)
            obj = with_revision(obj, revision)
        return Outcome(store.from_hub(write.kind, obj), deleted=True)
    if marked is None or marked == entry.parsed:
        return Outcome(store.from_hub(write.kind, deep_copy(entry.parsed)), changed=False)
    if write.dry_run:
        return Outcome(store.from_hub(write.kind, marked))
    revision = await store.storage.update(entry.key, encode_stored(marked), expected_revision=entry.revision)
    return Outcome(store.from_hub(write.kind, with_revision(marked, revision)))


