"""The informer against a scripted stream: copy, follow, resume, replace."""

import asyncio
import random
from collections import deque

from machinery.cache import Informer
from machinery.client.watching import INITIAL_EVENTS_END, WatchEvent
from machinery.meta.errors import expired


def pod(name, version, node="", namespace="default"):
    return {"metadata": {"namespace": namespace, "name": name, "resourceVersion": str(version)}, "spec": {"nodeName": node}}


def bookmark(version, *, initial=False):
    annotations = {INITIAL_EVENTS_END: "true"} if initial else {}
    return WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": str(version), "annotations": annotations}})


class ScriptedClient:
    """Stands in for the client's ``watch``: a list of streams, each a list of events or an exception to end with."""

    def __init__(self, *streams):
        self.streams = deque(streams)
        self.asked = []

    async def watch(self, gv, plural, **options):
        self.asked.append(options)
        if not self.streams:
            await asyncio.Event().wait()
        for event in self.streams.popleft():
            if isinstance(event, Exception):
                raise event
            yield event


async def follow(informer, until):
    task = asyncio.create_task(informer.run())
    try:
        async with asyncio.timeout(3):
            while not until():
                await asyncio.sleep(0.005)
    finally:
        task.cancel()


async def test_copy_then_follow_then_resume_from_the_last_version():
    client = ScriptedClient(
        [WatchEvent("ADDED", pod("a", 1)), WatchEvent("ADDED", pod("b", 2)), bookmark(5, initial=True),
         WatchEvent("MODIFIED", pod("a", 6, "n1")), WatchEvent("DELETED", pod("b", 7))],
    )  # fmt: skip
    informer = Informer(client, "v1", "pods", indexers={"node": lambda o: [o["spec"]["nodeName"]]}, rng=random.Random(1))
    told = []
    informer.add_handler(
        on_add=lambda o: told.append(("add", o["metadata"]["name"])),
        on_update=lambda old, new: told.append(("update", old["metadata"]["resourceVersion"], new["metadata"]["resourceVersion"])),
        on_delete=lambda o: told.append(("delete", o["metadata"]["name"])),
    )
    await follow(informer, lambda: len(client.asked) == 2)
    assert told == [("add", "a"), ("add", "b"), ("update", "1", "6"), ("delete", "b")]
    assert informer.synced
    assert informer.keys() == ["default/a"]
    assert [o["metadata"]["name"] for o in informer.by_index("node", "n1")] == ["a"]
    assert informer.by_index("node", "") == []
    assert client.asked[0]["send_initial_events"]
    assert not client.asked[1]["send_initial_events"]
    assert client.asked[1]["resource_version"] == "7"


async def test_nothing_is_synced_before_the_marked_bookmark():
    client = ScriptedClient([WatchEvent("ADDED", pod("a", 1)), bookmark(1)])
    informer = Informer(client, "v1", "pods")
    await follow(informer, lambda: len(client.asked) == 2)
    assert not informer.synced
    assert informer.get("default/a") is None
    assert client.asked[1]["send_initial_events"], "a cut copy starts anew"


async def test_lost_history_is_replaced_and_the_difference_told():
    client = ScriptedClient(
        [WatchEvent("ADDED", pod("a", 1)), WatchEvent("ADDED", pod("b", 2)), bookmark(2, initial=True), expired("gone")],
        [WatchEvent("ADDED", pod("b", 2)), WatchEvent("ADDED", pod("c", 9)), bookmark(9, initial=True)],
    )
    informer = Informer(client, "v1", "pods")
    told = []
    informer.add_handler(
        on_add=lambda o: told.append("+" + o["metadata"]["name"]),
        on_update=lambda old, new: told.append("~" + new["metadata"]["name"]),
        on_delete=lambda o: told.append("-" + o["metadata"]["name"]),
    )
    await follow(informer, lambda: len(client.asked) == 3)
    assert told == ["+a", "+b", "-a", "+c"]


async def test_a_late_handler_and_a_late_index_see_what_is_there():
    client = ScriptedClient([WatchEvent("ADDED", pod("a", 1, "n1")), bookmark(1, initial=True)])
    informer = Informer(client, "v1", "pods")
    await follow(informer, lambda: informer.synced)
    told = []
    informer.add_handler(on_add=told.append)
    informer.add_indexers({"node": lambda o: [o["spec"]["nodeName"]]})
    assert [o["metadata"]["name"] for o in told] == ["a"]
    assert len(informer.by_index("node", "n1")) == 1
