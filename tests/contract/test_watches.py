"""Watches: everything after a revision, once, in order, or Compacted. And the pushed form of the same, follow()."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from apiserver.storage.interface import Compacted, FutureRevision, RevisionMismatch, Storage, StorageError, StoreEvent
from tests.contract.collect import silent, take
from tests.contract.conftest import MakeStorage


def short(event: StoreEvent) -> tuple[str, str, bytes]:
    return event.type, event.key.rpartition("/")[2], event.value


async def test_a_watch_from_now_sees_what_comes(storage: Storage, prefix: str) -> None:
    await storage.create(prefix + "before", b"1")
    stream = storage.watch(prefix, revision=0)
    revision = await storage.create(prefix + "a", b"1")
    assert await take(stream, 1) == [StoreEvent("create", prefix + "a", b"1", revision)]


async def test_an_update_carries_before_and_after(storage: Storage, prefix: str) -> None:
    first = await storage.create(prefix + "a", b"1")
    stream = storage.watch(prefix, revision=first)
    second = await storage.update(prefix + "a", b"2", expected_revision=first)
    assert await take(stream, 1) == [StoreEvent("update", prefix + "a", b"2", second, b"1", first)]


async def test_a_deletion_carries_the_last_value_and_its_own_revision(storage: Storage, prefix: str) -> None:
    first = await storage.create(prefix + "a", b"1")
    stream = storage.watch(prefix, revision=first)
    _, second = await storage.delete(prefix + "a")
    assert await take(stream, 1) == [StoreEvent("delete", prefix + "a", b"1", second, b"1", first)]


async def test_a_recreation_is_a_creation(storage: Storage, prefix: str) -> None:
    start = await storage.current_revision()
    await storage.create(prefix + "a", b"1")
    await storage.delete(prefix + "a")
    await storage.create(prefix + "a", b"2")
    events = await take(storage.watch(prefix, revision=start), 3)
    assert [event.type for event in events] == ["create", "delete", "create"]
    assert events[2].previous_revision == 0


async def test_a_watch_from_a_revision_starts_after_it(storage: Storage, prefix: str) -> None:
    revisions = [await storage.create(f"{prefix}{n}", b"%d" % n) for n in range(5)]
    events = await take(storage.watch(prefix, revision=revisions[1]), 3)
    assert [event.revision for event in events] == revisions[2:]


async def test_the_past_and_the_present_join_without_a_seam(storage: Storage, prefix: str) -> None:
    start = await storage.current_revision()
    past = [await storage.create(f"{prefix}p{n}", b"1") for n in range(3)]
    stream = storage.watch(prefix, revision=start)
    first = await take(stream, 2)
    present = [await storage.create(f"{prefix}q{n}", b"1") for n in range(3)]
    assert [event.revision for event in first + await take(stream, 4)] == past + present


async def test_failed_writes_make_no_events(storage: Storage, prefix: str) -> None:
    first = await storage.create(prefix + "a", b"1")
    stream = storage.watch(prefix, revision=first)
    with pytest.raises(RevisionMismatch):
        await storage.update(prefix + "a", b"2", expected_revision=first + 1000)
    with pytest.raises(RevisionMismatch):
        await storage.delete(prefix + "nothing")
    await storage.create(prefix + "b", b"1")
    assert [short(event) for event in await take(stream, 1)] == [("create", "b", b"1")]


async def test_a_watch_stays_under_its_prefix(storage: Storage, prefix: str) -> None:
    start = await storage.current_revision()
    for key in ("ns/a", "ns-2/a", "ns0/a", "ns/b"):
        await storage.create(prefix + key, b"1")
    events = await take(storage.watch(prefix + "ns/", revision=start), 2)
    assert [event.key.removeprefix(prefix) for event in events] == ["ns/a", "ns/b"]


async def test_a_prefix_may_be_one_key(storage: Storage, prefix: str) -> None:
    start = await storage.current_revision()
    await storage.create(prefix + "a", b"1")
    stream = storage.watch(prefix + "b", revision=start)
    await storage.create(prefix + "b", b"1")
    assert [short(event) for event in await take(stream, 1)] == [("create", "b", b"1")]


async def test_a_watch_of_a_quiet_prefix_is_silent(storage: Storage, prefix: str) -> None:
    stream = storage.watch(prefix + "quiet/", revision=0)
    await storage.create(prefix + "loud/a", b"1")
    assert await silent(stream)


async def test_a_watch_from_the_future_waits_for_it(storage: Storage, prefix: str) -> None:
    current = await storage.current_revision()
    stream = storage.watch(prefix, revision=current + 3)
    reading = asyncio.create_task(take(stream, 1))
    await asyncio.sleep(0.05)
    revisions = [await storage.create(f"{prefix}{n}", b"1") for n in range(5)]
    (event,) = await reading
    assert event.revision == next(revision for revision in revisions if revision > current + 3)


async def test_two_watchers_see_the_same(storage: Storage, prefix: str) -> None:
    start = await storage.current_revision()
    first, second = storage.watch(prefix, revision=start), storage.watch(prefix, revision=start)
    for n in range(10):
        await storage.create(f"{prefix}{n}", b"1")
    assert await take(first, 10) == await take(second, 10)


async def test_a_watch_before_the_compaction_is_refused(storage: Storage, prefix: str) -> None:
    first = await storage.create(prefix + "a", b"1")
    last = await storage.update(prefix + "a", b"2", expected_revision=first)
    await storage.compact(last)
    with pytest.raises(Compacted) as error:
        await take(storage.watch(prefix, revision=first), 1)
    assert error.value.revision == first


async def test_a_watch_from_the_compaction_on_is_whole(storage: Storage, prefix: str) -> None:
    first = await storage.create(prefix + "a", b"1")
    mark = await storage.update(prefix + "a", b"2", expected_revision=first)
    last = await storage.update(prefix + "a", b"3", expected_revision=mark)
    await storage.compact(mark)
    events = await take(storage.watch(prefix, revision=mark), 1)
    assert events == [StoreEvent("update", prefix + "a", b"3", last, b"2", mark)]


async def test_a_running_watch_survives_a_compaction(storage: Storage, prefix: str) -> None:
    first = await storage.create(prefix + "a", b"1")
    stream = storage.watch(prefix, revision=first)
    second = await storage.update(prefix + "a", b"2", expected_revision=first)
    assert (await take(stream, 1))[0].revision == second
    await storage.compact(second)
    third = await storage.update(prefix + "a", b"3", expected_revision=second)
    assert (await take(stream, 1))[0].revision == third


async def test_a_closed_watch_ends(storage: Storage, prefix: str) -> None:
    stream = storage.watch(prefix, revision=0)
    reading = asyncio.create_task(take(stream, 1))
    await asyncio.sleep(0.02)
    await stream.aclose()  # type: ignore[attr-defined]
    assert await asyncio.wait_for(reading, 5) == []


async def test_a_cancelled_reader_loses_nothing(storage: Storage, prefix: str) -> None:
    stream = storage.watch(prefix, revision=0)
    for n in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream), 0.01)
        await storage.create(f"{prefix}{n}", b"1")
        assert (await take(stream, 1))[0].key == f"{prefix}{n}"


async def test_history_beyond_the_ring_is_replayed(storage: Storage, prefix: str) -> None:
    """More events than the hub remembers, so that the start must come from the engine's own history."""
    start = await storage.current_revision()
    await asyncio.gather(*(storage.create(f"{prefix}{n:04}", b"%d" % n) for n in range(1500)))
    stream = storage.watch(prefix, revision=start)
    await storage.create(prefix + "end", b"1")
    events = await take(stream, 1501)
    assert [event.revision for event in events] == sorted({event.revision for event in events})
    assert {event.key for event in events[:-1]} == {f"{prefix}{n:04}" for n in range(1500)}
    assert events[-1].key == prefix + "end"


async def test_history_of_another_prefix_does_not_hold_up_a_watch(storage: Storage, prefix: str) -> None:
    start = await storage.current_revision()
    wanted = await storage.create(prefix + "wanted/a", b"1")
    await asyncio.gather(*(storage.create(f"{prefix}other/{n:04}", b"1") for n in range(1200)))
    stream = storage.watch(prefix + "wanted/", revision=start)
    assert (await take(stream, 1))[0].revision == wanted
    later = await storage.create(prefix + "wanted/b", b"1")
    assert (await take(stream, 1))[0].revision == later


async def test_a_slow_reader_catches_up(storage: Storage, prefix: str) -> None:
    """More events than a watch queues: the queue is dropped and the reader served from history."""
    stream = storage.watch(prefix, revision=0)
    await storage.create(prefix + "first", b"1")
    assert (await take(stream, 1))[0].key == prefix + "first"
    for start in range(0, 5000, 1000):
        await asyncio.gather(*(storage.create(f"{prefix}{start + n:05}", b"1") for n in range(1000)))
    events = await take(stream, 5000)
    assert len({event.key for event in events}) == 5000
    assert [event.revision for event in events] == sorted({event.revision for event in events})


async def test_no_gap_and_no_double_under_concurrent_writes(storage: Storage, prefix: str) -> None:
    """Six writers; watchers that start all the time, from revisions seen on the way; all agree on one history."""
    rng = random.Random(7)
    begin = await storage.current_revision()
    acknowledged: list[int] = []
    watches: list[tuple[int, asyncio.Task[list[StoreEvent]]]] = []

    async def write(writer: int) -> None:
        key, revision = f"{prefix}{writer}", 0
        for n in range(40):
            if not revision:
                revision = await storage.create(key, b"%d" % n)
                acknowledged.append(revision)
            elif rng.random() < 0.2:
                acknowledged.append((await storage.delete(key, expected_revision=revision))[1])
                revision = 0
            else:
                revision = await storage.update(key, b"%d" % n, expected_revision=revision)
                acknowledged.append(revision)
            await asyncio.sleep(0)

    async def read_until(stream: Any) -> list[StoreEvent]:
        found: list[StoreEvent] = []
        async for event in stream:
            if event.type == "progress":
                continue
            if event.key == prefix + "end":
                return found
            found.append(event)
        return found

    async def start_watches() -> None:
        for _ in range(12):
            start = rng.choice(acknowledged) if acknowledged else begin
            watches.append((start, asyncio.create_task(read_until(storage.watch(prefix, revision=start)))))
            await asyncio.sleep(0.003)

    await asyncio.gather(*(write(n) for n in range(6)), start_watches())
    await storage.create(prefix + "end", b"1")
    history = await asyncio.wait_for(read_until(storage.watch(prefix, revision=begin)), 10)
    assert [event.revision for event in history] == sorted(acknowledged)
    for start, task in watches:
        assert await asyncio.wait_for(task, 10) == [event for event in history if event.revision > start]


async def test_events_rebuild_the_state(storage: Storage, prefix: str) -> None:
    """list + watch from its revision = what a list gives later; the way every informer lives."""
    rng = random.Random(3)
    revisions: dict[str, int] = {}
    for n in range(10):
        revisions[f"{prefix}{n}"] = await storage.create(f"{prefix}{n}", b"0")
    listed = await storage.list(prefix)
    stream = storage.watch(prefix, revision=listed.revision)
    for n in range(100):
        key = f"{prefix}{rng.randrange(15)}"
        if key not in revisions:
            revisions[key] = await storage.create(key, b"%d" % n)
        elif rng.random() < 0.3:
            await storage.delete(key, expected_revision=revisions.pop(key))
        else:
            revisions[key] = await storage.update(key, b"%d" % n, expected_revision=revisions[key])
    state = {item.key: (item.value, item.revision) for item in listed.items}
    for event in await take(stream, 100):
        assert state.get(event.key, (None, 0)) == (event.previous, event.previous_revision)
        if event.type == "delete":
            del state[event.key]
        else:
            state[event.key] = (event.value, event.revision)
    assert state == {item.key: (item.value, item.revision) for item in (await storage.list(prefix)).items}


async def test_progress_tells_that_nothing_happened(make_storage: MakeStorage, prefix: str) -> None:
    storage = await make_storage(progress_seconds=0.05)
    stream = storage.watch(prefix + "quiet/", revision=0)
    revision = await storage.create(prefix + "loud", b"1")
    event = await asyncio.wait_for(anext(stream), 10)
    assert event.type == "progress"
    assert event.revision >= revision
    await stream.aclose()


# follow


class Follower:
    def __init__(self) -> None:
        self.events: list[StoreEvent] = []
        self.lost: list[StorageError] = []

    async def follow(self, storage: Storage, prefix: str, revision: int) -> Any:
        return await storage.follow(prefix, revision=revision, sink=self.events.append, lost=self.lost.append)


async def test_a_follower_has_a_write_before_its_writer_knows(storage: Storage, prefix: str) -> None:
    follower = Follower()
    subscription = await follower.follow(storage, prefix, await storage.current_revision())
    for n in range(20):
        revision = await storage.create(f"{prefix}{n}", b"1")
        assert follower.events[-1].revision == revision
        assert subscription.revision >= revision
    subscription.close()


async def test_a_follower_gets_the_past_first(storage: Storage, prefix: str) -> None:
    start = await storage.current_revision()
    revisions = [await storage.create(f"{prefix}{n}", b"1") for n in range(3)]
    follower = Follower()
    subscription = await follower.follow(storage, prefix, start)
    revisions.append(await storage.create(prefix + "9", b"1"))
    assert [event.revision for event in follower.events] == revisions
    subscription.close()


async def test_a_closed_follower_hears_no_more(storage: Storage, prefix: str) -> None:
    follower = Follower()
    subscription = await follower.follow(storage, prefix, await storage.current_revision())
    await storage.create(prefix + "a", b"1")
    subscription.close()
    await storage.create(prefix + "b", b"1")
    assert [event.key for event in follower.events] == [prefix + "a"]


async def test_following_from_before_the_compaction_is_refused(storage: Storage, prefix: str) -> None:
    first = await storage.create(prefix + "a", b"1")
    last = await storage.update(prefix + "a", b"2", expected_revision=first)
    await storage.compact(last)
    with pytest.raises(Compacted):
        await Follower().follow(storage, prefix, first)


async def test_a_follower_is_complete_up_to_its_revision(storage: Storage, prefix: str) -> None:
    """Writes elsewhere move the revision too: silence under the prefix is news."""
    follower = Follower()
    subscription = await follower.follow(storage, prefix + "mine/", await storage.current_revision())
    other = await storage.create(prefix + "other/a", b"1")
    await subscription.wait(other, 5)
    assert subscription.revision >= other
    assert follower.events == []
    subscription.close()


async def test_waiting_for_the_future_times_out(storage: Storage, prefix: str) -> None:
    follower = Follower()
    subscription = await follower.follow(storage, prefix, await storage.current_revision())
    current = subscription.revision
    with pytest.raises(FutureRevision) as error:
        await subscription.wait(current + 1000, 0.05)
    assert error.value.revision == current + 1000
    subscription.close()


async def test_waiting_ends_when_the_write_comes(storage: Storage, prefix: str) -> None:
    follower = Follower()
    current = await storage.current_revision()
    subscription = await follower.follow(storage, prefix, current)
    waiting = asyncio.create_task(subscription.wait(current + 1, 10))
    await asyncio.sleep(0.01)
    revision = await storage.create(prefix + "a", b"1")
    await waiting
    assert subscription.revision >= revision
    subscription.close()


# life


async def test_old_history_is_forgotten_by_age(make_storage: MakeStorage, prefix: str) -> None:
    storage = await make_storage(keep_seconds=0.2)
    first = await storage.create(prefix + "a", b"1")
    await storage.update(prefix + "a", b"2", expected_revision=first)
    for _ in range(100):
        await asyncio.sleep(0.05)
        try:
            await storage.get(prefix + "a", revision=first)
        except Compacted:
            break
    else:
        pytest.fail("history was kept for ever")
    stored = await storage.get(prefix + "a")
    assert stored is not None
    assert stored.value == b"2"
