"""The scheduling queue: order, back-off, and waking what an event may have helped."""

import asyncio

from machinery.testing import FakeClock
from scheduler.pod_info import pod_info
from scheduler.queue import SchedulingQueue
from tests.unit.scheduler.builders import pod


def queue():
    clock = FakeClock()
    return SchedulingQueue(clock.monotonic), clock


async def test_higher_priority_first_then_in_order_of_arrival():
    made, _ = queue()
    for name, priority in (("a", 0), ("b", 5), ("c", 0)):
        made.add(pod_info(pod(name, priority=priority)))
    assert [made.pop_now().info.name for _ in range(3)] == ["b", "a", "c"]
    assert made.pop_now() is None


async def test_an_unschedulable_pod_waits_for_an_event_that_may_help():
    made, clock = queue()
    made.add(pod_info(pod("a")))
    made.failed(made.pop_now(), frozenset({"NodeResourcesFit"}))
    await clock.advance(60)
    assert made.pop_now() is None
    made.move("pod-bound")
    assert made.pop_now() is None, "a bound pod frees nothing"
    made.move("pod-gone")
    assert made.pop_now().info.name == "a"


async def test_back_off_grows_and_ends():
    made, clock = queue()
    made.add(pod_info(pod("a")))
    for seconds in (1, 2, 4, 8, 10, 10):
        made.failed(made.pop_now(), frozenset(), retry=True)
        await clock.advance(seconds - 0.1)
        assert made.pop_now() is None
        await clock.advance(0.2)
    assert made.pop_now().attempts == 6


async def test_an_event_during_the_decision_is_not_lost():
    made, clock = queue()
    made.add(pod_info(pod("a")))
    flying = made.pop_now()
    made.move("node")
    made.failed(flying, frozenset({"NodeAffinity"}))
    assert made.count("backoff") == 1
    await clock.advance(1.1)
    assert made.pop_now().info.name == "a"


async def test_five_minutes_flush_a_forgotten_pod():
    made, clock = queue()
    made.add(pod_info(pod("a")))
    made.failed(made.pop_now(), frozenset({"NodeAffinity"}))
    await clock.advance(301)
    assert made.pop_now().info.name == "a"


async def test_a_changed_pod_is_tried_again_and_a_removed_one_never():
    made, clock = queue()
    made.add(pod_info(pod("a")))
    made.failed(made.pop_now(), frozenset({"NodeAffinity"}))
    await clock.advance(2)
    made.add(pod_info(pod("a", labels={"new": "label"})))
    assert made.pop_now().info.labels == {"new": "label"}
    made.remove("default/a")
    made.move("node")
    assert made.pop_now() is None


async def test_pop_waits_for_an_arrival():
    made, _ = queue()
    waiter = asyncio.create_task(made.pop())
    await asyncio.sleep(0.01)
    made.add(pod_info(pod("a")))
    assert (await asyncio.wait_for(waiter, 1)).info.name == "a"
