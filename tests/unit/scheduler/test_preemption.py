"""Preemption: who must leave, and when it is no use."""

import random

from scheduler.cycle import Profile, Unfit
from scheduler.pod_info import pod_info
from scheduler.preemption import plan_preemption
from tests.unit.scheduler.builders import node, pod, table


def plan(made, wanted, **options):
    profile, info = Profile(), pod_info(wanted)
    unfit = profile.schedule(made, info, random.Random(1))
    assert isinstance(unfit, Unfit)
    before = made.used.copy()
    result = plan_preemption(profile, made, info, unfit, **options)
    assert (made.used == before).all(), "planning must leave the table as it was"
    return result


def test_only_as_many_as_needed_leave_and_the_least_important_first():
    running = [
        pod("old", requests={"cpu": "1"}, node_name="a", priority=5, start="2026-01-01T00:00:00Z"),
        pod("low", requests={"cpu": "1"}, node_name="a", priority=1, start="2026-01-01T00:00:00Z"),
        pod("young", requests={"cpu": "1"}, node_name="a", priority=5, start="2026-01-02T00:00:00Z"),
    ]
    result = plan(table(node("a", cpu="3"), pods=running), pod("p", requests={"cpu": "2"}, priority=9))
    assert result.node == "a"
    assert {victim.name for victim in result.victims} == {"low", "young"}


def test_the_node_with_the_lowest_victim_is_chosen():
    running = [
        pod("x", requests={"cpu": "4"}, node_name="a", priority=5),
        pod("y", requests={"cpu": "4"}, node_name="b", priority=3),
    ]
    assert plan(table(node("a"), node("b"), pods=running), pod("p", requests={"cpu": "2"}, priority=9)).node == "b"


def test_a_budget_makes_the_other_node_the_better_choice():
    running = [
        pod("x", requests={"cpu": "4"}, node_name="a", priority=5),
        pod("y", requests={"cpu": "4"}, node_name="b", priority=3),
    ]
    guarded = plan(
        table(node("a"), node("b"), pods=running), pod("p", requests={"cpu": "2"}, priority=9),
        violations=lambda victims: sum(victim.name == "y" for victim in victims),
    )
    assert guarded.node == "a"


def test_the_sentences_when_nothing_helps():
    full = [pod("x", requests={"cpu": "4"}, node_name="a", priority=5)]
    assert plan(table(node("a"), pods=full), pod("p", requests={"cpu": "2"}, priority=5)).message == (
        "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
    )
    assert plan(table(node("a")), pod("p", requests={"cpu": "20"}, priority=9)).message == (
        "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
    )
    mixed = [*full, pod("z", node_name="a")]
    assert plan(table(node("a"), pods=mixed), pod("p", requests={"cpu": "2"}, priority=1)).message == (
        "preemption: 0/1 nodes are available: 1 Insufficient cpu."
    )
    never = pod("p", requests={"cpu": "2"}, priority=9, preemptionPolicy="Never")
    assert plan(table(node("a"), pods=full), never).message == (
        "preemption: not eligible due to preemptionPolicy=Never."
    )
