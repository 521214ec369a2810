"""The work queue: one worker a key, nothing lost, back-off per key."""

import asyncio

import pytest

from machinery.queue import ShutDown, WorkQueue


async def test_a_key_added_twice_is_handed_out_once():
    queue = WorkQueue("t")
    queue.add("a")
    queue.add("a")
    assert await queue.get() == "a"
    queue.done("a")
    assert len(queue) == 0


async def test_a_key_added_while_active_comes_back_only_after_done():
    queue = WorkQueue("t")
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    assert len(queue) == 0, "a second worker must not get it"
    queue.done("a")
    assert await queue.get() == "a"


async def test_order_is_first_in_first_out():
    queue = WorkQueue("t")
    for key in "cab":
        queue.add(key)
    assert [await queue.get() for _ in range(3)] == ["c", "a", "b"]


async def test_waiting_worker_is_woken_by_add():
    queue = WorkQueue("t")
    waiter = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    assert await asyncio.wait_for(waiter, 1) == "a"


async def test_cancelled_waiter_passes_its_turn_on():
    queue = WorkQueue("t")
    first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    first.cancel()
    assert await asyncio.wait_for(second, 1) == "a"


async def test_earlier_delayed_wish_wins():
    queue = WorkQueue("t")
    queue.add_after("a", 60)
    queue.add_after("a", 0.01)
    assert await asyncio.wait_for(queue.get(), 1) == "a"
    queue.done("a")
    assert len(queue) == 0


async def test_back_off_doubles_and_forget_resets_it():
    queue = WorkQueue("t", base_delay_seconds=100)
    loop = asyncio.get_running_loop()
    for expected in (100, 200, 400):
        queue._due.clear()
        queue.add_rate_limited("a")
        assert queue._due["a"] - loop.time() == pytest.approx(expected, abs=1)
    assert queue.requeues("a") == 3
    queue.forget("a")
    assert queue.requeues("a") == 0
    queue.shut_down()


async def test_shut_down_drains_then_ends_the_workers():
    queue = WorkQueue("t")
    queue.add("a")
    queue.shut_down()
    queue.add("b")
    assert await queue.get() == "a"
    with pytest.raises(ShutDown):
        await queue.get()
