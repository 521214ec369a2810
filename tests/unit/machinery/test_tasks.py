"""Groups of tasks: failures are seen, ends are clean."""

import asyncio

import pytest

from machinery.runtime.tasks import Tasks


async def fail_soon():
    await asyncio.sleep(0.01)
    raise ValueError("broken")


async def test_a_failed_task_fails_the_group():
    async with Tasks("t") as tasks:
        tasks.spawn("bad", fail_soon())
        with pytest.raises(ValueError, match="broken"):
            await asyncio.wait_for(tasks.wait(), 2)


async def test_a_task_that_ends_by_itself_is_a_failure_unless_it_may():
    async with Tasks("t") as tasks:
        tasks.spawn("brief", asyncio.sleep(0), may_end=True)
        tasks.spawn("early", asyncio.sleep(0.01))
        with pytest.raises(RuntimeError, match="t/early ended by itself"):
            await asyncio.wait_for(tasks.wait(), 2)


async def test_waiting_for_what_will_never_come_ends_with_the_failure():
    async with Tasks("t") as tasks:
        tasks.spawn("bad", fail_soon())
        with pytest.raises(ValueError, match="broken"):
            await asyncio.wait_for(tasks.unless_failed(asyncio.Event().wait()), 2)


async def test_waiting_for_what_comes():
    async with Tasks("t") as tasks:
        tasks.spawn("good", asyncio.sleep(60))
        await asyncio.wait_for(tasks.unless_failed(asyncio.sleep(0.01)), 2)


async def test_stop_cancels_and_waits():
    ended = []

    async def work():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    tasks = Tasks("t")
    tasks.spawn("work", work())
    await asyncio.sleep(0)
    await tasks.stop()
    assert ended == [True]
