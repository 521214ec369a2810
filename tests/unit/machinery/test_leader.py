"""Leader election: one leader, taken over only when the lease has run out by our own clock, given back at the end."""

import asyncio

import pytest

from machinery.meta.errors import conflict, not_found
from machinery.runtime.leader import LeaderElector, LeaderLost
from machinery.testing import FakeClock


class Leases:
    """The API of one Lease: compare-and-swap by resourceVersion; ``broken`` refuses everything."""

    def __init__(self):
        self.lease, self.version, self.broken = None, 0, False

    def _check(self):
        if self.broken:
            raise conflict("coordination.k8s.io", "leases", "x")

    async def get(self, gv, plural, name, *, namespace):
        self._check()
        if self.lease is None:
            raise not_found("coordination.k8s.io", "leases", name)
        return {**self.lease, "metadata": {**self.lease["metadata"], "resourceVersion": str(self.version)}}

    async def create(self, gv, plural, lease):
        self._check()
        self.version += 1
        self.lease = lease

    async def update(self, gv, plural, lease):
        self._check()
        if lease["metadata"]["resourceVersion"] != str(self.version):
            raise conflict("coordination.k8s.io", "leases", "x")
        self.version += 1
        self.lease = lease

    @property
    def holder(self):
        return self.lease["spec"]["holderIdentity"]


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


def candidate(leases, clock, name):
    elector = LeaderElector(leases, "x", name, clock=clock)
    task = asyncio.create_task(elector.run(lambda: asyncio.Event().wait()))
    return elector, task


async def end(*tasks):
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_second_waits_while_the_first_renews():
    leases, clock = Leases(), FakeClock()
    first, one = candidate(leases, clock, "one")
    await settle()
    second, two = candidate(leases, clock, "two")
    for _ in range(20):
        await clock.advance(2)
        await settle()
    assert (first.is_leader, second.is_leader) == (True, False)
    assert leases.holder == "one"
    await end(one, two)


async def test_a_dead_leader_is_replaced_after_its_lease():
    leases, clock = Leases(), FakeClock()
    _, one = candidate(leases, clock, "one")
    await settle()
    # It dies without giving back: its record stays.
    leases_now = leases.lease
    await end(one)
    leases.lease, leases.version = leases_now, leases.version + 1
    second, two = candidate(leases, clock, "two")
    await settle()
    await clock.advance(13)
    await settle()
    assert not second.is_leader
    for _ in range(3):
        await clock.advance(2)
        await settle()
    assert second.is_leader
    assert leases.lease["spec"]["leaseTransitions"] == 1
    await end(two)


async def test_a_clean_end_gives_the_lease_back():
    leases, clock = Leases(), FakeClock()
    _, one = candidate(leases, clock, "one")
    await settle()
    await end(one)
    assert leases.holder == ""


async def test_who_cannot_renew_stops_by_itself_before_others_may_start():
    leases, clock = Leases(), FakeClock()
    first, one = candidate(leases, clock, "one")
    await settle()
    leases.broken = True
    for _ in range(7):
        await clock.advance(2)
        await settle()
    assert not first.is_leader
    with pytest.raises(LeaderLost):
        await one
    assert clock.monotonic() < 15
