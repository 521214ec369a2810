"""The table's invariants under random histories: every column equals a recount."""

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from machinery.meta.selectors import parse_label_selector
from scheduler.node_table import NodeTable
from scheduler.pod_info import Term, pod_info
from tests.unit.scheduler.builders import node, pod


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_columns_equal_a_recount(seed):
    rng = random.Random(seed)
    made = NodeTable()
    made.set_namespace("default", {})
    term = Term(parse_label_selector("app=x"), frozenset({"default"}))
    made.counter((term,))
    nodes, pods = set(), {}
    for step in range(60):
        name = f"n{rng.randrange(8)}"
        action = rng.random()
        if action < 0.3:
            made.set_node(node(name, cpu=str(rng.randint(1, 9)), labels={"z": str(rng.randrange(3))}))
            nodes.add(name)
        elif action < 0.4:
            made.remove_node(name)
            nodes.discard(name)
        elif action < 0.8:
            wanted = pod(f"p{step}", labels={"app": rng.choice("xy")}, requests={"cpu": "100m"}, node_name=name)
            pods[f"p{step}"] = pod_info(wanted)
            made.add_pod(pods[f"p{step}"], name)
        elif pods:
            gone = pods.pop(rng.choice(list(pods)))
            made.remove_pod(gone, gone.node_name)
    for name, slot in made.index.items():
        there = [info for info in pods.values() if info.node_name == name]
        assert made.pod_count[slot] == len(there)
        assert made.used[0, slot] == sum(info.requests["cpu"] for info in there)
        assert made.counter((term,))[slot] == sum(info.labels["app"] == "x" for info in there)
    assert set(made.index) == nodes
    empty = ~made.alive
    assert not made.used[:, empty].any()
    assert not made.pod_count[empty].any()


def test_pods_that_come_before_their_node_are_counted_when_it_comes():
    made = NodeTable()
    info = pod_info(pod("p", requests={"cpu": "1"}, node_name="late"))
    made.add_pod(info, "late")
    made.set_node(node("late"))
    assert made.used[0, made.index["late"]] == 1000


def test_growth_keeps_everything():
    made = NodeTable()
    for number in range(200):
        made.set_node(node(f"n{number}", labels={"z": str(number % 3)}))
    assert len(made) == 200
    assert int((made.labels.requirement("z", "In", ["1"]) & made.alive).sum()) == 67
    assert np.array_equal(made.allocatable[0][made.alive], np.full(200, 4000))
