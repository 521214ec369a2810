"""Watches and observers of the watch cache over every engine."""

from __future__ import annotations

import asyncio
import random

import orjson
import pytest

from apiserver.storage.cacher import Cacher, Change, Entry, Predicate, WatchEvent, bookmark_json
from apiserver.storage.interface import Compacted, Storage
from tests.contract.pods import Pods, names, new_cacher, selected, told, told_events


async def test_a_watch_from_a_revision(cacher: Cacher, pods: Pods) -> None:
    first = await pods.put("a")
    second = await pods.put("a", app="w")
    watcher = await cacher.watch(revision=first)
    third = await pods.delete("a")
    assert await told(watcher, 2) == [("MODIFIED", "a", second), ("DELETED", "a", third)]


async def test_a_watch_without_a_revision_starts_with_what_is_there(cacher: Cacher, pods: Pods) -> None:
    first, second = await pods.put("a"), await pods.put("b")
    for revision in (None, 0):
        watcher = await cacher.watch(revision=revision)
        assert await told(watcher, 2) == [("ADDED", "a", first), ("ADDED", "b", second)]
        watcher.close()


async def test_initial_events_end_with_a_bookmark(cacher: Cacher, pods: Pods) -> None:
    first = await pods.put("a")
    watcher = await cacher.watch(initial_events=True, bookmarks=True)
    added, mark = await watcher.take()
    assert (added.type, added.revision) == ("ADDED", first)
    assert orjson.loads(bookmark_json("v1", "Pod", mark)) == {
        "type": "BOOKMARK",
        "object": {"kind": "Pod", "apiVersion": "v1", "metadata": {
            "resourceVersion": str(mark.revision), "annotations": {"k8s.io/initial-events-end": "true"}}},
    }
    assert mark.revision >= first
    second = await pods.put("b")
    assert await told(watcher, 1) == [("ADDED", "b", second)]


async def test_events_are_lines_of_json(cacher: Cacher, pods: Pods) -> None:
    watcher = await cacher.watch()
    created = await pods.put("a", app="w")
    deleted = await pods.delete("a")
    added, gone = (await told_events(watcher, 2))
    assert added.json.endswith(b"}}}\n")
    assert orjson.loads(added.json)["object"]["metadata"]["resourceVersion"] == str(created)
    told_last = orjson.loads(gone.json)
    assert told_last["type"] == "DELETED"
    assert told_last["object"]["metadata"] == {
        "resourceVersion": str(deleted), "name": "a", "namespace": "default", "labels": {"app": "w"}
    }


async def test_a_selection_is_entered_and_left(cacher: Cacher, pods: Pods) -> None:
    watcher = await cacher.watch(selected("app=w"))
    added = await pods.put("a", app="w", v="1")
    changed = await pods.put("a", app="w", v="2")
    left = await pods.put("a", app="x", v="3")
    await pods.put("a", app="x", v="4")
    entered = await pods.put("a", app="w", v="5")
    deleted = await pods.delete("a")
    events = await told_events(watcher, 5)
    assert [(event.type, event.revision) for event in events] == [
        ("ADDED", added), ("MODIFIED", changed), ("DELETED", left), ("ADDED", entered), ("DELETED", deleted)
    ]
    last_known = events[2].entry
    assert last_known is not None
    assert last_known.parsed["metadata"]["labels"] == {"app": "w", "v": "2"}
    assert last_known.parsed["metadata"]["resourceVersion"] == str(left)


async def test_a_selection_watched_from_the_past(cacher: Cacher, pods: Pods) -> None:
    start = await pods.put("a", app="x")
    entered = await pods.put("a", app="w")
    left = await pods.put("a", app="x")
    watcher = await cacher.watch(selected("app=w"), revision=start)
    assert await told(watcher, 2) == [("ADDED", "a", entered), ("DELETED", "a", left)]


async def test_a_pod_moves_between_field_watchers(cacher: Cacher, pods: Pods) -> None:
    unbound = await cacher.watch(selected(fields="spec.nodeName="))
    node = await cacher.watch(selected(fields="spec.nodeName=n1"))
    other = await cacher.watch(selected(fields="spec.nodeName=n2"))
    created = await pods.put("a")
    bound = await pods.put("a", node="n1")
    moved = await pods.put("a", node="n2")
    assert await told(unbound, 2) == [("ADDED", "a", created), ("DELETED", "a", bound)]
    assert await told(node, 2) == [("ADDED", "a", bound), ("DELETED", "a", moved)]
    assert await told(other, 1) == [("ADDED", "a", moved)]


async def test_watchers_of_one_object_and_one_namespace(cacher: Cacher, pods: Pods) -> None:
    one = await cacher.watch(selected(fields="metadata.name=a", namespace="ns"))
    space = await cacher.watch(Predicate("ns"))
    await pods.put("a", "other")
    b = await pods.put("b", "ns")
    a = await pods.put("a", "ns")
    assert await told(one, 1) == [("ADDED", "a", a)]
    assert await told(space, 2) == [("ADDED", "b", b), ("ADDED", "a", a)]


async def test_an_event_is_encoded_once_for_all(cacher: Cacher, pods: Pods) -> None:
    watchers = [await cacher.watch() for _ in range(3)] + [await cacher.watch(Predicate("default"))]
    await pods.put("a")
    events = [(await told_events(watcher, 1))[0] for watcher in watchers]
    assert all(event is events[0] for event in events)
    made: list[WatchEvent] = []

    def encode(event: WatchEvent) -> bytes:
        made.append(event)
        return b"encoded"

    assert {event.cached("table", encode) for event in events} == {b"encoded"}
    assert len(made) == 1
    assert events[0].cached("protobuf", lambda event: b"other") == b"other"


async def test_a_watch_from_before_the_cache_is_refused(storage: Storage, pods: Pods, prefix: str) -> None:
    before = await pods.put("a")
    await pods.put("b")
    cacher = new_cacher(storage, prefix)
    await cacher.start()
    with pytest.raises(Compacted) as error:
        await cacher.watch(revision=before)
    assert error.value.revision == before
    await cacher.close()


async def test_a_watch_from_the_future_is_silent_until_then(cacher: Cacher, pods: Pods) -> None:
    current = await pods.put("a")
    watcher = await cacher.watch(revision=current + 2)
    revisions = [await pods.put(f"b{n}") for n in range(4)]
    expected = [revision for revision in revisions if revision > current + 2]
    assert [revision for _, _, revision in await told(watcher, len(expected))] == expected


async def test_bookmarks_tell_how_far_the_watch_is(storage: Storage, pods: Pods, prefix: str) -> None:
    cacher = new_cacher(storage, prefix, bookmark_seconds=0.05)
    await cacher.start()
    wanted, plain = await cacher.watch(bookmarks=True), await cacher.watch()
    revision = await storage.create(prefix.rstrip("/") + "-other/x", b"{}")
    async with asyncio.timeout(10):
        while True:
            (mark, *_) = await wanted.take()
            assert mark.type == "BOOKMARK"
            if mark.revision >= revision:
                break
    assert orjson.loads(bookmark_json("v1", "Pod", mark))["object"]["metadata"] == {
        "resourceVersion": str(mark.revision)
    }
    a = await pods.put("a")
    assert await told(plain, 1) == [("ADDED", "a", a)]
    await cacher.close()


async def test_a_bookmark_on_demand(cacher: Cacher, pods: Pods) -> None:
    watcher = await cacher.watch(bookmarks=True)
    a = await pods.put("a")
    cacher.bookmark(watcher)
    added, mark = await told(watcher, 2)
    assert added == ("ADDED", "a", a)
    assert mark[0] == "BOOKMARK"
    assert mark[2] >= a


async def test_a_slow_watcher_is_ended_and_the_others_go_on(cacher: Cacher, pods: Pods) -> None:
    slow, quick = await cacher.watch(), await cacher.watch()
    seen = 0
    for n in range(1100):
        await pods.put("a", n=str(n))
        if n % 100 == 99:
            seen += len(await quick.take())
    assert slow.ended == "slow"
    assert await slow.take() == []
    assert (quick.ended, seen) == ("", 1100)
    assert cacher.stats()["watchers"] == 1


async def test_a_closed_watch_ends_its_reader(cacher: Cacher) -> None:
    watcher = await cacher.watch()
    reading = asyncio.create_task(watcher.take())
    await asyncio.sleep(0.01)
    watcher.close()
    assert await asyncio.wait_for(reading, 5) == []
    assert cacher.stats()["watchers"] == 0


async def test_watchers_end_when_the_cache_closes(storage: Storage, prefix: str) -> None:
    cacher = new_cacher(storage, prefix)
    await cacher.start()
    watcher = await cacher.watch()
    await cacher.close()
    assert [event async for event in watcher] == []


async def test_observers_see_everything_in_step(cacher: Cacher, pods: Pods) -> None:
    a = await pods.put("a")
    seen: list[tuple[int, int, int]] = []

    def note(change: Change) -> None:
        seen.append((change.before.revision if change.before else 0, change.after.revision if change.after else 0,
                     change.revision))

    cacher.observe(note)
    assert seen == [(0, a, a)]
    b = await pods.put("a", app="w")
    assert seen[-1] == (a, b, b)
    c = await pods.delete("a")
    assert seen[-1] == (b, 0, c)


async def test_bytes_that_are_no_object_harm_nobody_else(
    cacher: Cacher, pods: Pods, storage: Storage, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    watcher = await cacher.watch()
    await storage.create(prefix + "default/bad", b"not json")
    good = await pods.put("good")
    assert await told(watcher, 1) == [("ADDED", "good", good)]
    assert names((await cacher.list()).entries) == ["good"]
    assert "default/bad" in caplog.text
    late = new_cacher(storage, prefix)
    await late.start()
    assert names((await late.list()).entries) == ["good"]
    await late.close()
    await storage.delete(prefix + "default/bad")


async def test_an_observer_that_fails_harms_nobody_else(
    cacher: Cacher, pods: Pods, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(change: Change) -> None:
        raise RuntimeError("broken observer")

    seen: list[Change] = []
    cacher.observe(fail)
    cacher.observe(seen.append)
    watcher = await cacher.watch()
    revision = await pods.put("a")
    assert await told(watcher, 1) == [("ADDED", "a", revision)]
    assert [change.revision for change in seen] == [revision]
    assert "broken observer" in caplog.text


async def test_no_gap_and_no_double_for_watchers_that_come_and_go(cacher: Cacher, pods: Pods) -> None:
    """Writers at work; clients list, watch from there, drop the watch, come back with the last revision they saw."""
    rng = random.Random(11)
    done = asyncio.Event()

    async def write(worker: int) -> None:
        for n in range(40):
            name = f"{worker}-{rng.randrange(4)}"
            if pods.key(name) in pods.revisions and rng.random() < 0.3:
                await pods.delete(name)
            else:
                await pods.put(name, app=rng.choice("wx"), n=str(n))
            await asyncio.sleep(0)

    async def live(predicate: Predicate) -> dict[str, int]:
        listed = await cacher.list(predicate)
        state, revision = {entry.key: entry.revision for entry in listed.entries}, listed.revision
        while True:
            watcher = await cacher.watch(predicate, revision=revision)
            last = done.is_set() and revision >= cacher.revision
            cacher_revision = cacher.revision
            for _ in range(rng.randrange(1, 8)):
                try:
                    events = await asyncio.wait_for(watcher.take(), 0.01)
                except TimeoutError:
                    break
                for event in events:
                    assert event.revision > revision, "an event came twice or out of order"
                    assert event.entry is not None
                    revision = event.revision
                    known = event.entry.key in state
                    assert known == (event.type != "ADDED"), f"{event.type} of {event.entry.key}"
                    if event.type == "DELETED":
                        del state[event.entry.key]
                    else:
                        state[event.entry.key] = event.entry.revision
            else:
                watcher.close()
                continue
            watcher.close()
            if last or (done.is_set() and cacher_revision == cacher.revision):
                return state

    everything, selection = Predicate(), selected("app=w")
    clients = [asyncio.create_task(live(everything)) for _ in range(3)]
    clients += [asyncio.create_task(live(selection)) for _ in range(3)]
    await asyncio.gather(*(write(worker) for worker in range(5)))
    done.set()
    for task, predicate in zip(clients, [everything] * 3 + [selection] * 3, strict=True):
        state = await asyncio.wait_for(task, 10)
        assert state == {entry.key: entry.revision for entry in (await cacher.list(predicate)).entries}


async def test_the_cache_is_what_the_store_lists(cacher: Cacher, storage: Storage, pods: Pods, prefix: str) -> None:
    rng = random.Random(5)
    for n in range(200):
        name = f"p{rng.randrange(30)}"
        if pods.key(name) in pods.revisions and rng.random() < 0.4:
            await pods.delete(name)
        else:
            await pods.put(name, node=rng.choice(["", "n1", "n2"]), n=str(n))
    listed = await storage.list(prefix)
    cached = (await cacher.list()).entries
    assert [(entry.key, entry.revision) for entry in cached] == [(item.key, item.revision) for item in listed.items]
    for node in ("", "n1", "n2"):
        indexed = (await cacher.list(selected(fields=f"spec.nodeName={node}"))).entries
        assert list(indexed) == [entry for entry in cached if entry.fields["spec.nodeName"] == node]


def test_entry_is_small() -> None:
    assert not hasattr(Entry("k", b"{}", 1, "", "", {}, {}), "__dict__")
