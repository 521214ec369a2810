"""Events: said once and counted, combined when alike, bounded when too many."""

from machinery.runtime.events import EventRecorder
from machinery.testing import FakeClock

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "d", "name": "p", "uid": "u"}}


class Api:
    def __init__(self):
        self.created, self.patched = [], []

    async def create(self, gv, plural, obj, **_):
        self.created.append(obj)

    async def patch(self, gv, plural, name, patch, **_):
        self.patched.append((name, patch))


def recorder():
    api, clock = Api(), FakeClock()
    return EventRecorder(api, "tester", host="h", clock=clock), api, clock


async def test_an_event_as_it_is_written():
    made, api, _ = recorder()
    made.event(POD, "Warning", "BackOff", "again", field_path="spec.containers{c}")
    await made.flush()
    [event] = api.created
    assert event["involvedObject"] == {
        "apiVersion": "v1", "kind": "Pod", "namespace": "d", "name": "p", "uid": "u", "fieldPath": "spec.containers{c}",
    }  # fmt: skip
    assert (event["type"], event["reason"], event["message"], event["count"]) == ("Warning", "BackOff", "again", 1)
    assert event["source"] == {"component": "tester", "host": "h"}
    assert event["metadata"]["name"].startswith("p.")


async def test_the_same_again_is_counted():
    made, api, clock = recorder()
    for _ in range(3):
        made.event(POD, "Normal", "R", "m")
        await made.flush()
        await clock.advance(5)
    assert len(api.created) == 1
    assert [patch["count"] for _, patch in api.patched] == [2, 3]
    assert api.patched[-1][1]["lastTimestamp"] > api.created[0]["firstTimestamp"]


async def test_many_that_differ_only_in_words_are_combined():
    made, api, _ = recorder()
    for number in range(14):
        made.event(POD, "Normal", "R", f"m{number}")
    await made.flush()
    assert len(api.created) == 11
    assert api.created[-1]["message"] == "(combined from similar events): m10"
    assert api.patched[-1][1]["message"] == "(combined from similar events): m13"


async def test_one_object_cannot_flood():
    made, api, clock = recorder()
    for number in range(40):
        made.event(POD, "Normal", f"R{number}", "m")
    await made.flush()
    assert len(api.created) == 25
    await clock.advance(301)
    made.event(POD, "Normal", "later", "m")
    await made.flush()
    assert len(api.created) == 26
