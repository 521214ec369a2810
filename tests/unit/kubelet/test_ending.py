"""Why pods end, and what hurries them."""

from __future__ import annotations

from kubelet.ending import DEADLINE_MESSAGE, deadline, decide_ending, must_hurry
from kubelet.observed import Ending
from tests.unit.kubelet.builders import pod

START = "1970-01-01T00:00:10Z"


def deleting(grace: int, **spec):
    p = pod(**spec)
    p["metadata"] |= {"deletionTimestamp": START, "deletionGracePeriodSeconds": grace}
    return p


def test_nothing_ends_without_a_cause() -> None:
    assert decide_ending(pod(), None, {"phase": "Running"}, 5.0, removed=False) is None


def test_a_deletion_brings_its_grace_and_zero_is_one() -> None:
    assert decide_ending(deleting(7), None, {}, 5.0, removed=False) == Ending(5.0, 7)
    assert decide_ending(deleting(0), None, {}, 5.0, removed=False) == Ending(5.0, 1)
    gone = pod(terminationGracePeriodSeconds=3)
    assert decide_ending(gone, None, {}, 5.0, removed=True) == Ending(5.0, 3)


def test_what_is_decided_stays_and_only_gets_shorter() -> None:
    known = Ending(5.0, 30, "Evicted", "low", disruption=True)
    assert decide_ending(deleting(2), known, {}, 9.0, removed=False) == Ending(
        5.0, 2, "Evicted", "low", disruption=True
    )
    assert decide_ending(deleting(60), known, {}, 9.0, removed=False) == known
    refused = Ending(5.0, 0, "OutOfcpu", "", refused=True)
    assert decide_ending(deleting(60), refused, {}, 9.0, removed=False) == refused


def test_a_deadline_counts_from_the_start_time() -> None:
    p = pod(activeDeadlineSeconds=5)
    assert deadline(p, {}) is None
    assert deadline(p, {"startTime": START}) == 15.0
    assert decide_ending(p, None, {"startTime": START}, 14.9, removed=False) is None
    ending = decide_ending(p, None, {"startTime": START}, 15.0, removed=False)
    assert ending == Ending(15.0, 30, "DeadlineExceeded", DEADLINE_MESSAGE)


def test_a_pod_that_is_over_by_its_object_ends_here_too() -> None:
    assert decide_ending(pod(), None, {"phase": "Failed"}, 5.0, removed=False) == Ending(5.0, 30)


def test_only_new_or_shorter_deletions_interrupt() -> None:
    assert must_hurry(pod(), deleting(30))
    assert must_hurry(deleting(30), deleting(1))
    assert not must_hurry(deleting(30), deleting(30))
    assert not must_hurry(pod(), pod())
