"""Revisions, conditions, reads and snapshots: the same on every engine."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from apiserver.storage.interface import (
    Compacted,
    FutureRevision,
    KeyExists,
    RevisionMismatch,
    Storage,
    Stored,
)
from apiserver.storage.keys import after


async def fill(storage: Storage, prefix: str, names: str) -> dict[str, int]:
    return {name: await storage.create(f"{prefix}{name}", f'"{name}"'.encode()) for name in names}


async def names(storage: Storage, prefix: str, **options: int | str) -> str:
    listed = await storage.list(prefix, **options)  # type: ignore[arg-type]
    return "".join(item.key.removeprefix(prefix) for item in listed.items)


async def test_an_empty_store_has_a_revision_that_clients_can_use(storage: Storage) -> None:
    assert await storage.current_revision() >= 1


async def test_a_created_key_is_read_back_at_its_revision(storage: Storage, prefix: str) -> None:
    revision = await storage.create(prefix + "a", b'{"x":1}')
    assert await storage.get(prefix + "a") == Stored(prefix + "a", b'{"x":1}', revision)


async def test_a_key_that_is_not_there_reads_as_none(storage: Storage, prefix: str) -> None:
    assert await storage.get(prefix + "nothing") is None


async def test_a_second_creation_fails_and_changes_nothing(storage: Storage, prefix: str) -> None:
    revision = await storage.create(prefix + "a", b"1")
    with pytest.raises(KeyExists) as error:
        await storage.create(prefix + "a", b"2")
    assert error.value.key == prefix + "a"
    assert await storage.get(prefix + "a") == Stored(prefix + "a", b"1", revision)
    assert await storage.current_revision() == revision


async def test_a_deleted_key_can_be_created_again(storage: Storage, prefix: str) -> None:
    first = await storage.create(prefix + "a", b"1")
    await storage.delete(prefix + "a")
    second = await storage.create(prefix + "a", b"2")
    assert second > first + 1
    assert await storage.get(prefix + "a") == Stored(prefix + "a", b"2", second)


async def test_every_write_has_a_higher_revision(storage: Storage, prefix: str) -> None:
    first = await storage.create(prefix + "a", b"1")
    second = await storage.update(prefix + "a", b"2", expected_revision=first)
    third = await storage.create(prefix + "b", b"1")
    _, fourth = await storage.delete(prefix + "a")
    assert first < second < third < fourth == await storage.current_revision()


async def test_concurrent_writes_get_distinct_revisions(storage: Storage, prefix: str) -> None:
    revisions = await asyncio.gather(*(storage.create(f"{prefix}{n:03}", b"{}") for n in range(100)))
    assert len(set(revisions)) == 100


async def test_update_replaces_the_value(storage: Storage, prefix: str) -> None:
    first = await storage.create(prefix + "a", b"1")
    second = await storage.update(prefix + "a", b"2", expected_revision=first)
    assert await storage.get(prefix + "a") == Stored(prefix + "a", b"2", second)


async def test_update_at_a_stale_revision_tells_what_is_there(storage: Storage, prefix: str) -> None:
    first = await storage.create(prefix + "a", b"1")
    second = await storage.update(prefix + "a", b"2", expected_revision=first)
    with pytest.raises(RevisionMismatch) as error:
        await storage.update(prefix + "a", b"3", expected_revision=first)
    assert error.value.current == Stored(prefix + "a", b"2", second)
    assert await storage.current_revision() == second


async def test_update_of_a_missing_key_tells_so(storage: Storage, prefix: str) -> None:
    with pytest.raises(RevisionMismatch) as error:
        await storage.update(prefix + "a", b"1", expected_revision=1)
    assert error.value.current is None


async def test_update_never_creates(storage: Storage, prefix: str) -> None:
    with pytest.raises(RevisionMismatch):
        await storage.update(prefix + "a", b"1", expected_revision=0)
    assert await storage.get(prefix + "a") is None


async def test_of_many_updates_at_one_revision_one_wins(storage: Storage, prefix: str) -> None:
    first = await storage.create(prefix + "a", b"0")
    outcomes = await asyncio.gather(
        *(storage.update(prefix + "a", b"%d" % n, expected_revision=first) for n in range(20)), return_exceptions=True
    )
    won = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert len(won) == 1
    assert sum(isinstance(outcome, RevisionMismatch) for outcome in outcomes) == 19
    stored = await storage.get(prefix + "a")
    assert stored is not None
    assert stored.revision == won[0]
    assert outcomes[int(stored.value)] == won[0]


async def test_concurrent_counting_loses_nothing(storage: Storage, prefix: str) -> None:
    await storage.create(prefix + "n", b"0")

    async def count_up() -> None:
        while True:
            stored = await storage.get(prefix + "n")
            assert stored is not None
            try:
                await storage.update(prefix + "n", b"%d" % (int(stored.value) + 1), expected_revision=stored.revision)
                return
            except RevisionMismatch:
                await asyncio.sleep(0)

    await asyncio.gather(*(count_up() for _ in range(15)))
    stored = await storage.get(prefix + "n")
    assert stored is not None
    assert stored.value == b"15"


async def test_delete_gives_what_was_there_and_its_revision(storage: Storage, prefix: str) -> None:
    first = await storage.create(prefix + "a", b"1")
    gone, revision = await storage.delete(prefix + "a", expected_revision=first)
    assert gone == Stored(prefix + "a", b"1", first)
    assert revision > first
    assert await storage.get(prefix + "a") is None


async def test_delete_at_a_stale_revision_keeps_the_key(storage: Storage, prefix: str) -> None:
    first = await storage.create(prefix + "a", b"1")
    second = await storage.update(prefix + "a", b"2", expected_revision=first)
    with pytest.raises(RevisionMismatch) as error:
        await storage.delete(prefix + "a", expected_revision=first)
    assert error.value.current == Stored(prefix + "a", b"2", second)
    assert await storage.get(prefix + "a") is not None


@pytest.mark.parametrize("expected", [0, 1])
async def test_delete_of_a_missing_key_tells_so(storage: Storage, prefix: str, expected: int) -> None:
    with pytest.raises(RevisionMismatch) as error:
        await storage.delete(prefix + "a", expected_revision=expected)
    assert error.value.current is None


async def test_values_are_kept_byte_for_byte(storage: Storage, prefix: str) -> None:
    value = '{"a":"ü\\u0000 – \U0001f680","b":[1,2.50,null]}'.encode()
    await storage.create(prefix + "ns/ünï-1", value)
    stored = await storage.get(prefix + "ns/ünï-1")
    assert stored is not None
    assert stored.value == value


async def test_a_value_of_a_megabyte_fits(storage: Storage, prefix: str) -> None:
    value = b'"' + b"x" * (1 << 20) + b'"'
    await storage.create(prefix + "big", value)
    stored = await storage.get(prefix + "big")
    assert stored is not None
    assert stored.value == value


# reads of the past


async def test_get_at_a_revision_sees_the_value_of_then(storage: Storage, prefix: str) -> None:
    first = await storage.create(prefix + "a", b"1")
    second = await storage.update(prefix + "a", b"2", expected_revision=first)
    _, third = await storage.delete(prefix + "a")
    assert await storage.get(prefix + "a", revision=first) == Stored(prefix + "a", b"1", first)
    assert await storage.get(prefix + "a", revision=second) == Stored(prefix + "a", b"2", second)
    assert await storage.get(prefix + "a", revision=third) is None


async def test_get_before_the_creation_is_none(storage: Storage, prefix: str) -> None:
    before = await storage.create(prefix + "other", b"1")
    await storage.create(prefix + "a", b"1")
    assert await storage.get(prefix + "a", revision=before) is None


async def test_reads_of_the_future_are_refused(storage: Storage, prefix: str) -> None:
    current = await storage.create(prefix + "a", b"1")
    with pytest.raises(FutureRevision) as error:
        await storage.get(prefix + "a", revision=current + 1000)
    assert error.value.revision == current + 1000
    assert error.value.current == current
    with pytest.raises(FutureRevision):
        await storage.list(prefix, revision=current + 1000)


async def test_list_is_in_key_order(storage: Storage, prefix: str) -> None:
    await fill(storage, prefix, "cabed")
    assert await names(storage, prefix) == "abcde"


async def test_key_order_is_that_of_bytes(storage: Storage, prefix: str) -> None:
    for name in ("a/b", "a-b", "a", "a.b", "aa", "é", "z"):
        await storage.create(prefix + name, b"1")
    listed = [item.key.removeprefix(prefix) for item in (await storage.list(prefix)).items]
    assert listed == ["a", "a-b", "a.b", "a/b", "aa", "z", "é"]


async def test_list_stays_under_its_prefix(storage: Storage, prefix: str) -> None:
    await storage.create(prefix + "ns/a", b"1")
    await storage.create(prefix + "ns-2/a", b"1")
    await storage.create(prefix + "ns0/a", b"1")
    listed = await storage.list(prefix + "ns/")
    assert [item.key for item in listed.items] == [prefix + "ns/a"]


async def test_list_of_nothing_has_a_revision(storage: Storage, prefix: str) -> None:
    current = await storage.current_revision()
    listed = await storage.list(prefix)
    assert (list(listed.items), listed.remaining) == ([], 0)
    assert listed.revision >= current


async def test_list_carries_values_and_their_own_revisions(storage: Storage, prefix: str) -> None:
    revisions = await fill(storage, prefix, "ab")
    listed = await storage.list(prefix)
    assert list(listed.items) == [Stored(prefix + n, f'"{n}"'.encode(), revisions[n]) for n in "ab"]
    assert listed.revision == revisions["b"]


async def test_list_leaves_out_what_was_deleted(storage: Storage, prefix: str) -> None:
    await fill(storage, prefix, "abc")
    await storage.delete(prefix + "b")
    assert await names(storage, prefix) == "ac"


async def test_limit_and_remaining(storage: Storage, prefix: str) -> None:
    await fill(storage, prefix, "abcde")
    listed = await storage.list(prefix, limit=2)
    assert ([item.key[-1] for item in listed.items], listed.remaining) == (["a", "b"], 3)
    listed = await storage.list(prefix, limit=5)
    assert (len(listed.items), listed.remaining) == (5, 0)


async def test_start_key_is_inclusive(storage: Storage, prefix: str) -> None:
    await fill(storage, prefix, "abcd")
    assert await names(storage, prefix, start_key=prefix + "b") == "bcd"
    assert await names(storage, prefix, start_key=after(prefix + "b")) == "cd"
    listed = await storage.list(prefix, start_key=prefix + "b", limit=1)
    assert listed.remaining == 2


async def test_list_at_a_revision_is_the_snapshot_of_then(storage: Storage, prefix: str) -> None:
    revisions = await fill(storage, prefix, "abc")
    await storage.update(prefix + "a", b"new", expected_revision=revisions["a"])
    await storage.delete(prefix + "b")
    await storage.create(prefix + "d", b"1")
    listed = await storage.list(prefix, revision=revisions["c"])
    assert [(item.key[-1], item.value) for item in listed.items] == [("a", b'"a"'), ("b", b'"b"'), ("c", b'"c"')]
    assert listed.revision == revisions["c"]


async def test_pages_of_one_snapshot_ignore_later_writes(storage: Storage, prefix: str) -> None:
    await fill(storage, prefix, "acegi")
    page = await storage.list(prefix, limit=2)
    seen = [item.key[-1] for item in page.items]
    revision, remaining = page.revision, [page.remaining]
    writes = iter("bdfh")
    while page.remaining:
        await storage.create(prefix + next(writes), b"1")
        await storage.delete(prefix + seen[-1])
        page = await storage.list(prefix, limit=2, start_key=after(page.items[-1].key), revision=revision)
        assert page.revision == revision
        seen += [item.key[-1] for item in page.items]
        remaining.append(page.remaining)
    assert seen == list("acegi")
    assert remaining == [3, 1, 0]


async def test_a_long_list_is_complete(storage: Storage, prefix: str) -> None:
    await asyncio.gather(*(storage.create(f"{prefix}{n:05}", b"%d" % n) for n in range(2500)))
    listed = await storage.list(prefix)
    assert [int(item.value) for item in listed.items] == list(range(2500))
    listed = await storage.list(prefix, limit=2300)
    assert (len(listed.items), listed.remaining) == (2300, 200)


async def test_a_list_under_concurrent_writes_is_one_snapshot(storage: Storage, prefix: str) -> None:
    """Two keys are always written in turn, so no snapshot may be ahead on the second."""
    left, right = prefix + "l", prefix + "r"
    revisions = [await storage.create(left, b"0"), await storage.create(right, b"0")]

    async def write() -> None:
        for n in range(1, 40):
            revisions[0] = await storage.update(left, b"%d" % n, expected_revision=revisions[0])
            await asyncio.sleep(0)
            revisions[1] = await storage.update(right, b"%d" % n, expected_revision=revisions[1])

    writer = asyncio.create_task(write())
    while not writer.done():
        await asyncio.sleep(0)
        listed = await storage.list(prefix)
        first, second = (int(item.value) for item in listed.items)
        assert first - second in (0, 1)
        assert listed.revision >= max(item.revision for item in listed.items)
    await writer


async def test_count(storage: Storage, prefix: str) -> None:
    await fill(storage, prefix, "abc")
    await storage.delete(prefix + "a")
    await storage.create(prefix + "ns/x", b"1")
    assert await storage.count(prefix) == 3
    assert await storage.count(prefix + "ns/") == 1
    assert await storage.count(prefix + "none/") == 0


async def test_current_revision_never_goes_back(storage: Storage, prefix: str) -> None:
    seen = [await storage.current_revision()]
    for n in range(10):
        seen.append(await storage.create(f"{prefix}{n}", b"1"))
        seen.append(await storage.current_revision())
    assert all(earlier <= later for earlier, later in pairwise(seen))


# compaction


async def test_compaction_keeps_what_is_current(storage: Storage, prefix: str) -> None:
    revisions = await fill(storage, prefix, "ab")
    last = await storage.update(prefix + "a", b"new", expected_revision=revisions["a"])
    await storage.compact(last)
    assert await storage.get(prefix + "a") == Stored(prefix + "a", b"new", last)
    assert await names(storage, prefix) == "ab"
    assert await names(storage, prefix, revision=last) == "ab"


async def test_reads_before_the_compaction_are_refused(storage: Storage, prefix: str) -> None:
    revisions = await fill(storage, prefix, "ab")
    last = await storage.update(prefix + "a", b"new", expected_revision=revisions["a"])
    await storage.compact(last)
    with pytest.raises(Compacted) as error:
        await storage.get(prefix + "a", revision=revisions["a"])
    assert error.value.revision == revisions["a"]
    with pytest.raises(Compacted):
        await storage.list(prefix, revision=revisions["b"])


async def test_reads_after_the_compaction_are_whole(storage: Storage, prefix: str) -> None:
    revisions = await fill(storage, prefix, "abc")
    await storage.delete(prefix + "b")
    mark = await storage.create(prefix + "d", b"1")
    last = await storage.update(prefix + "a", b"new", expected_revision=revisions["a"])
    await storage.compact(mark)
    assert await names(storage, prefix, revision=mark) == "acd"
    assert await storage.get(prefix + "a", revision=mark) == Stored(prefix + "a", b'"a"', revisions["a"])
    assert await storage.get(prefix + "b", revision=mark) is None
    assert (await storage.list(prefix, revision=last)).items[0].value == b"new"


async def test_compacting_again_or_earlier_does_nothing(storage: Storage, prefix: str) -> None:
    revisions = await fill(storage, prefix, "abc")
    await storage.compact(revisions["c"])
    await storage.compact(revisions["c"])
    await storage.compact(revisions["a"])
    assert await names(storage, prefix, revision=revisions["c"]) == "abc"
    with pytest.raises(Compacted):
        await storage.list(prefix, revision=revisions["b"])


async def test_compacting_the_future_is_refused(storage: Storage, prefix: str) -> None:
    revision = await storage.create(prefix + "a", b"1")
    with pytest.raises(FutureRevision):
        await storage.compact(revision + 1000)
    assert await storage.get(prefix + "a", revision=revision) is not None


async def test_pages_of_a_compacted_snapshot_fail(storage: Storage, prefix: str) -> None:
    await fill(storage, prefix, "abc")
    page = await storage.list(prefix, limit=1)
    await storage.delete(prefix + "c")
    await storage.compact(await storage.current_revision())
    with pytest.raises(Compacted):
        await storage.list(prefix, limit=1, start_key=after(page.items[-1].key), revision=page.revision)


async def test_writes_go_on_after_a_compaction(storage: Storage, prefix: str) -> None:
    first = await storage.create(prefix + "a", b"1")
    await storage.compact(first)
    second = await storage.update(prefix + "a", b"2", expected_revision=first)
    _, third = await storage.delete(prefix + "a", expected_revision=second)
    await storage.compact(third)
    assert await storage.create(prefix + "a", b"3") > third


# time to live


async def test_a_key_with_a_ttl_is_there_until_it_ends(storage: Storage, prefix: str) -> None:
    await storage.create(prefix + "a", b"1", ttl_seconds=60)
    assert await storage.get(prefix + "a") is not None
    assert await names(storage, prefix) == "a"


async def test_a_key_is_deleted_when_its_ttl_ends(storage: Storage, prefix: str) -> None:
    created = await storage.create(prefix + "a", b"1", ttl_seconds=1)
    await storage.create(prefix + "stays", b"1")
    stream = storage.watch(prefix + "a", revision=created)
    event = await asyncio.wait_for(anext(stream), 10)
    await stream.aclose()  # type: ignore[attr-defined]
    assert (event.type, event.key, event.value, event.previous_revision) == ("delete", prefix + "a", b"1", created)
    assert event.revision > created
    assert await storage.get(prefix + "a") is None
    assert await storage.get(prefix + "stays") is not None


async def test_an_update_without_a_ttl_lets_the_key_live(storage: Storage, prefix: str) -> None:
    first = await storage.create(prefix + "a", b"1", ttl_seconds=1)
    short = await storage.create(prefix + "b", b"1", ttl_seconds=1)
    await storage.update(prefix + "a", b"2", expected_revision=first)
    stream = storage.watch(prefix, revision=short)
    seen = [await asyncio.wait_for(anext(stream), 10) for _ in range(2)]
    await stream.aclose()  # type: ignore[attr-defined]
    assert [(event.type, event.key[-1]) for event in seen] == [("update", "a"), ("delete", "b")]
    assert await storage.get(prefix + "a") is not None


async def test_keys_that_expire_together_have_revisions_of_their_own(storage: Storage, prefix: str) -> None:
    start = await storage.current_revision()
    await asyncio.gather(*(storage.create(f"{prefix}{n}", b"1", ttl_seconds=1) for n in range(5)))
    stream = storage.watch(prefix, revision=start)
    revisions = [(await asyncio.wait_for(anext(stream), 10)).revision for _ in range(10)]
    await stream.aclose()  # type: ignore[attr-defined]
    assert revisions == sorted(set(revisions))
