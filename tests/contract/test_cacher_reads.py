"""Gets and lists of the watch cache over every engine."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from apiserver.storage.cacher import Cacher, Predicate
from apiserver.storage.interface import Compacted, FutureRevision, Storage
from tests.contract.conftest import MakeStorage
from tests.contract.pods import Pods, names, new_cacher, selected


async def test_a_write_is_read_back_at_once_with_its_revision(cacher: Cacher, pods: Pods) -> None:
    for n in range(20):
        revision = await pods.put("a", x=str(n))
        entry = await cacher.get(pods.key("a"))
        assert entry is not None
        assert (entry.revision, entry.labels["x"]) == (revision, str(n))
        assert entry.parsed["metadata"] == {
            "resourceVersion": str(revision), "name": "a", "namespace": "default", "labels": {"x": str(n)}
        }
        assert cacher.get_cached(pods.key("a")) is entry
    await pods.delete("a")
    assert await cacher.get(pods.key("a")) is None


async def test_what_was_there_before_the_start_is_there(storage: Storage, pods: Pods, prefix: str) -> None:
    revision = await pods.put("a")
    cacher = new_cacher(storage, prefix)
    await cacher.start()
    entry = await cacher.get(pods.key("a"))
    assert entry is not None
    assert entry.revision == revision
    await cacher.close()


@pytest.mark.etcd
@pytest.mark.parametrize("engine", ["etcd"], indirect=True)
async def test_a_consistent_read_sees_what_another_process_wrote(make_storage: MakeStorage, prefix: str) -> None:
    """Only etcd has several processes; a second engine on the same store stands for one."""
    mine, theirs = await make_storage(), await make_storage()
    cacher = new_cacher(mine, prefix)
    await cacher.start()
    others = Pods(theirs, prefix)
    for n in range(50):
        await others.put("a", x=str(n))
        entry = await cacher.get(others.key("a"))
        assert entry is not None
        assert entry.labels["x"] == str(n)
    await cacher.close()


async def test_the_list_is_joined_bytes_in_key_order(cacher: Cacher, pods: Pods) -> None:
    for name in ("b", "a", "c"):
        last = await pods.put(name)
    listed = await cacher.list()
    items = orjson.loads(b"[" + listed.json_items() + b"]")
    assert [item["metadata"]["name"] for item in items] == ["a", "b", "c"]
    assert [int(item["metadata"]["resourceVersion"]) for item in items] == [
        pods.revisions[pods.key(name)] for name in "abc"
    ]
    assert listed.revision >= last
    assert (listed.next_key, listed.remaining) == ("", 0)


async def test_a_namespace_is_exactly_that(cacher: Cacher, pods: Pods) -> None:
    for namespace in ("ns", "ns-2", "ns0", "n"):
        await pods.put("a", namespace)
    listed = await cacher.list(Predicate("ns"))
    assert [entry.namespace for entry in listed.entries] == ["ns"]


async def test_label_and_field_selectors(cacher: Cacher, pods: Pods) -> None:
    await pods.put("a", node="n1", app="w")
    await pods.put("b", node="n2", app="w")
    await pods.put("c", "other", node="n1", app="x")
    await pods.put("d", node="")
    assert names((await cacher.list(selected("app=w"))).entries) == ["a", "b"]
    assert names((await cacher.list(selected("!app"))).entries) == ["d"]
    assert names((await cacher.list(selected(fields="spec.nodeName=n1"))).entries) == ["a", "c"]
    assert names((await cacher.list(selected("app=w", "spec.nodeName=n1"))).entries) == ["a"]
    assert names((await cacher.list(selected(fields="spec.nodeName!=n1"))).entries) == ["b", "d"]
    assert names((await cacher.list(selected(fields="spec.nodeName="))).entries) == ["d"]
    assert names((await cacher.list(selected(fields="metadata.name=c"))).entries) == ["c"]
    assert names((await cacher.list(selected(fields="metadata.namespace=other"))).entries) == ["c"]
    assert names((await cacher.list(selected(fields="metadata.name=c", namespace="default"))).entries) == []


async def test_the_field_index_follows_changes(cacher: Cacher, pods: Pods) -> None:
    await pods.put("a", node="")
    await pods.put("a", node="n1")
    assert names((await cacher.list(selected(fields="spec.nodeName=n1"))).entries) == ["a"]
    assert names((await cacher.list(selected(fields="spec.nodeName="))).entries) == []
    await pods.delete("a")
    assert names((await cacher.list(selected(fields="spec.nodeName=n1"))).entries) == []


async def pages(cacher: Cacher, predicate: Predicate, limit: int, between: Any) -> tuple[list[str], list[int | None]]:
    page = await cacher.list(predicate, limit=limit)
    seen, remaining, revision = names(page.entries), [page.remaining], page.revision
    while page.next_key:
        await between()
        page = await cacher.list(predicate, limit=limit, start_key=page.next_key, revision=revision, exact=True)
        assert page.revision == revision
        seen += names(page.entries)
        remaining.append(page.remaining)
    return seen, remaining


async def test_pages_are_of_one_snapshot(cacher: Cacher, pods: Pods) -> None:
    for n in range(7):
        await pods.put(f"p{n}", app="w")
    count = 0

    async def disturb() -> None:
        nonlocal count
        count += 1
        await pods.put(f"p5{count}", app="w")
        await pods.put("p6", app="gone")
        if count == 1:
            await pods.delete("p4")

    assert await pages(cacher, Predicate("default"), 3, disturb) == ([f"p{n}" for n in range(7)], [4, 1, 0])


async def test_pages_of_a_selection_do_not_tell_what_remains(cacher: Cacher, pods: Pods) -> None:
    for n in range(7):
        await pods.put(f"p{n}", app="w" if n % 2 else "x")

    async def disturb() -> None:
        await pods.put("p5", app="x")

    assert await pages(cacher, selected("app=w"), 2, disturb) == (["p1", "p3", "p5"], [None, None])


async def test_an_exact_list_of_the_past(cacher: Cacher, pods: Pods) -> None:
    await pods.put("a", app="1")
    then = await pods.put("b", "other")
    await pods.put("a", app="2")
    await pods.delete("b", "other")
    await pods.put("c")
    listed = await cacher.list(revision=then, exact=True)
    assert [(entry.name, dict(entry.labels)) for entry in listed.entries] == [("a", {"app": "1"}), ("b", {})]
    assert listed.revision == then
    assert names((await cacher.list(Predicate("other"), revision=then, exact=True)).entries) == ["b"]
    assert names((await cacher.list(selected("app=1"), revision=then, exact=True)).entries) == ["a"]


async def test_a_snapshot_from_before_the_cache_comes_from_the_store(
    storage: Storage, pods: Pods, prefix: str
) -> None:
    await pods.put("a", app="1")
    then = await pods.put("b")
    await pods.put("a", app="2")
    await pods.delete("b")
    cacher = new_cacher(storage, prefix)
    await cacher.start()
    listed = await cacher.list(Predicate("default"), limit=1, revision=then, exact=True)
    assert [(entry.name, entry.labels["app"], entry.parsed["metadata"]["name"]) for entry in listed.entries] == [
        ("a", "1", "a")
    ]
    assert (listed.revision, listed.remaining) == (then, 1)
    await storage.compact(await storage.current_revision())
    with pytest.raises(Compacted):
        await cacher.list(revision=then, exact=True)
    await cacher.close()


async def test_not_older_than_waits_for_the_revision(cacher: Cacher, pods: Pods) -> None:
    revision = await pods.put("a")
    waiting = asyncio.create_task(cacher.get(pods.key("b"), revision=revision + 1))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    await pods.put("b")
    entry = await waiting
    assert entry is not None
    assert entry.name == "b"


async def test_a_revision_too_large_times_out(storage: Storage, pods: Pods, prefix: str) -> None:
    cacher = new_cacher(storage, prefix, wait_seconds=0.15)
    await cacher.start()
    current = await pods.put("a")
    for reading in (
        cacher.get(pods.key("a"), revision=current + 1000),
        cacher.list(revision=current + 1000),
        cacher.list(revision=current + 1000, exact=True),
        cacher.watch(revision=current + 1000, initial_events=True),
    ):
        with pytest.raises(FutureRevision) as error:
            await reading
        assert error.value.revision == current + 1000
        assert error.value.current >= current
    await cacher.close()


async def test_writes_elsewhere_move_the_revision_of_lists(
    cacher: Cacher, storage: Storage, prefix: str
) -> None:
    revision = await storage.create(prefix.rstrip("/") + "-other/x", b"{}")
    assert (await cacher.list()).revision >= revision
