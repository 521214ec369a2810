"""Classification, shares, seats and queues; and what it costs when there is room."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from apiserver.auth.interface import User
from apiserver.flowcontrol.bootstrap import flow_schemas, priority_levels
from apiserver.flowcontrol.dispatcher import Dispatcher
from apiserver.flowcontrol.level import Limits, PriorityLevel, Rejected, deal, plan_limits
from apiserver.flowcontrol.matching import compile_schemas
from apiserver.flowcontrol.upkeep import plan_condition
from apiserver.server.request_info import parse_request_info

ALL = "system:authenticated"


class Reader:
    """The bootstrap objects, and a hand on them."""

    def __init__(self) -> None:
        self.objects = {"flowschemas": flow_schemas(), "prioritylevelconfigurations": priority_levels()}
        self.callbacks: list[Callable[[Any, Any], None]] = []

    def list(self, group: str, resource: str, namespace: str = "") -> list[Any]:
        return self.objects[resource]

    def get(self, group: str, resource: str, namespace: str, name: str) -> Any:
        return next((each for each in self.objects[resource] if each["metadata"]["name"] == name), None)

    def on_change(self, group: str, resource: str, callback: Callable[[Any, Any], None]) -> None:
        self.callbacks.append(callback)

    async def get_fresh(self, group: str, resource: str, namespace: str, name: str) -> Any:
        return self.get(group, resource, namespace, name)


@pytest.mark.parametrize(("user", "method", "path", "schema"), [
    (User("admin", groups=("system:masters", ALL)), "GET", "/api/v1/pods", "exempt"),
    (User("bob", groups=(ALL,)), "GET", "/healthz", "probes"),
    (User("system:node:n", groups=("system:nodes", ALL)), "PUT", "/api/v1/nodes/n/status", "system-node-high"),
    (User("system:node:n", groups=("system:nodes", ALL)), "GET", "/api/v1/pods", "system-nodes"),
    (User("system:kube-scheduler", groups=(ALL,)), "PUT",
     "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/x", "system-leader-election"),
    (User("system:serviceaccount:kube-system:dns", groups=("system:serviceaccounts", ALL)), "GET", "/api/v1/pods",
     "kube-system-service-accounts"),
    (User("system:serviceaccount:a:b", groups=("system:serviceaccounts", ALL)), "GET", "/api/v1/pods",
     "service-accounts"),
    (User("bob", groups=(ALL,)), "GET", "/api/v1/pods", "global-default"),
    (User("bob"), "GET", "/api/v1/pods", "catch-all"),
])  # fmt: skip
def test_bootstrap_schemas(user: User, method: str, path: str, schema: str) -> None:
    assert Dispatcher(Reader()).classify(user, parse_request_info(method, path)).schema.name == schema


def test_changes_are_seen_and_the_mandatory_stays() -> None:
    reader = Reader()
    dispatcher = Dispatcher(reader)
    bob, info = User("bob", groups=(ALL,)), parse_request_info("GET", "/api/v1/pods")
    level = dispatcher.classify(bob, info).level
    assert level.name == "global-default"
    reader.objects["flowschemas"] = []
    for callback in reader.callbacks:
        callback("DELETED", {})
    assert dispatcher.classify(bob, info).schema.name == "catch-all"


def test_schema_of_a_missing_level_is_left_out() -> None:
    reader = Reader()
    reader.objects["prioritylevelconfigurations"] = [
        each for each in priority_levels() if each["metadata"]["name"] != "global-default"
    ]
    found = Dispatcher(reader).classify(User("bob", groups=(ALL,)), parse_request_info("GET", "/api/v1/pods"))
    assert found.schema.name == "catch-all"


def test_precedence_then_name() -> None:
    names = [schema.name for schema in compile_schemas(flow_schemas())]
    assert names[:2] == ["exempt", "probes"]
    assert names[-1] == "catch-all"
    assert names.index("kube-controller-manager") < names.index("kube-scheduler")


def test_shares_become_seats() -> None:
    limits = plan_limits({each["metadata"]["name"]: each["spec"] for each in priority_levels()})
    # 245 shares of 600 seats
    assert limits["exempt"].seats is None
    assert limits["workload-low"] == Limits(245, 128, 6, 50)
    assert limits["catch-all"] == Limits(13)


def test_hands_are_distinct_and_stable() -> None:
    hand = deal("global-default/bob", 128, 6)
    assert len(set(hand)) == 6
    assert hand == deal("global-default/bob", 128, 6)
    assert set(hand) != set(deal("global-default/alice", 128, 6))


async def test_full_level_without_queues_refuses() -> None:
    level = PriorityLevel("l", "", Limits(1))
    assert level.try_acquire()
    assert not level.try_acquire()
    with pytest.raises(Rejected, match="concurrency-limit"):
        await level.acquire("f", 1)
    level.release()
    assert level.try_acquire()


async def test_queue_is_bounded_in_length_and_time() -> None:
    level = PriorityLevel("l", "", Limits(1, 1, 1, 1))
    assert level.try_acquire()
    waiting = asyncio.create_task(level.acquire("f", 0.05))
    await asyncio.sleep(0)
    with pytest.raises(Rejected, match="queue-full"):
        await level.acquire("f", 1)
    with pytest.raises(Rejected, match="time-out"):
        await waiting
    assert (level.waiting, level.executing) == (0, 1)


async def test_a_flood_does_not_starve_a_quiet_flow() -> None:
    level = PriorityLevel("l", "", Limits(1, 64, 2, 100))
    assert level.try_acquire()
    order: list[str] = []

    async def request(flow: str) -> None:
        await level.acquire(flow, 5)
        order.append(flow)
        await asyncio.sleep(0)
        level.release()

    flood = [asyncio.create_task(request("loud")) for _ in range(50)]
    await asyncio.sleep(0)
    quiet = asyncio.create_task(request("quiet"))
    await asyncio.sleep(0)
    level.release()
    await asyncio.gather(*flood, quiet)
    assert order.index("quiet") < 4
    assert (level.waiting, level.executing) == (0, 0)


async def test_cancelled_waiter_leaves_no_trace() -> None:
    level = PriorityLevel("l", "", Limits(1, 4, 2, 10))
    assert level.try_acquire()
    waiting = asyncio.create_task(level.acquire("f", 5))
    await asyncio.sleep(0)
    level.release()  # the seat is given to the waiter
    waiting.cancel()  # that is gone before it knows
    await asyncio.gather(waiting, return_exceptions=True)
    assert (level.waiting, level.executing) == (0, 0)


def test_condition_tells_of_the_level() -> None:
    schema: dict[str, Any] = {"spec": {"priorityLevelConfiguration": {"name": "x"}}}
    missing = plan_condition(schema, exists=lambda name: False, now="t1")
    assert missing is not None
    assert (missing["status"], missing["reason"], missing["lastTransitionTime"]) == ("True", "NotFound", "t1")
    schema["status"] = {"conditions": [missing]}
    assert plan_condition(schema, exists=lambda name: False, now="t2") is None
    found = plan_condition(schema, exists=lambda name: True, now="t2")
    assert found is not None
    assert (found["status"], found["lastTransitionTime"]) == ("False", "t2")


def test_cost_when_there_is_room() -> None:
    """The bound of 5 µs has a wide margin here, because other tests run on the same cores."""
    dispatcher = Dispatcher(Reader())
    user, info = User("bob", groups=("devs", ALL)), parse_request_info("GET", "/api/v1/namespaces/a/pods/x")
    dispatcher.classify(user, info)
    best = 1.0
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(2000):
            level = dispatcher.classify(user, info).level
            level.try_acquire()
            level.release()
        best = min(best, (time.perf_counter() - started) / 2000)
    print(f"{best * 1e6:.2f} µs")
    assert best < 20e-6
