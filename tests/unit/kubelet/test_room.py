"""Which pods hold room on the node when another one asks to be admitted."""

from __future__ import annotations

from typing import Any

import pytest

from kubelet.worker import PodWorker
from machinery.testing import FakeClock

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"uid": "u", "name": "p", "namespace": "n"}, "spec": {}}


class Context:
    clock = FakeClock()


def worker(**kwargs: Any) -> PodWorker:
    context: Any = Context()
    return PodWorker(context, POD, **kwargs)


async def test_a_pod_that_runs_or_ends_holds_its_room():
    assert worker().holds_resources


@pytest.mark.parametrize("gone", ["finished", "removed", "_deleting_object"])
async def test_one_that_has_ended_or_whose_object_is_gone_does_not(gone):
    """The scheduler gives the room away when the object goes: a forced deletion is no reason to refuse the next pod."""
    ending = worker()
    setattr(ending, gone, True)
    assert not ending.holds_resources


async def test_a_refused_pod_never_had_any():
    assert not worker(refused=("OutOfcpu", "no room")).holds_resources
