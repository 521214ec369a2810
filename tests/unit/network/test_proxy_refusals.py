"""What the proxy does when nft refuses: the table is replaced, and one bad Service keeps no other from its rules."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from network.proxy.nft import NftError
from network.proxy.proxy import ServiceProxy

SERVICES = {
    f"d/{name}": {
        "metadata": {"namespace": "d", "name": name},
        "spec": {"clusterIP": f"10.96.0.{number}", "ports": [{"name": "http", "port": 80}]},
    }
    for number, name in enumerate(("bad", "good", "other"), 1)
}


class Cache:
    """Stands in for an informer that has seen everything."""

    def __init__(self, objects: dict[str, Any]) -> None:
        self.objects = objects
        self.handlers: dict[str, Any] = {}

    def add_handler(self, **handlers: Any) -> None:
        self.handlers = handlers

    async def wait_synced(self) -> None:
        pass

    def keys(self) -> list[str]:
        return list(self.objects)

    def items(self) -> list[Any]:
        return list(self.objects.values())

    def get(self, key: str) -> Any:
        return self.objects.get(key)

    def by_index(self, name: str, value: str) -> list[Any]:
        return []


class Factory:
    def __init__(self) -> None:
        self.caches = {"services": Cache(dict(SERVICES)), "endpointslices": Cache({}), "pods": Cache({})}

    def informer(self, group_version: str, plural: str, **_: Any) -> Cache:
        return self.caches[plural]


class Kernel:
    """Takes transactions, unless ``refuses`` says no. ``addresses`` are those of the Services that got their rules."""

    def __init__(self, refuses: Callable[[str], bool]) -> None:
        self.refuses = refuses
        self.addresses: set[str] = set()
        self.refused = 0

    async def apply(self, text: str) -> None:
        if self.refuses(text):
            self.refused += 1
            raise NftError("Could not process rule")
        if "delete table" in text:
            self.addresses.clear()
        self.addresses |= {f"10.96.0.{n}" for n in (1, 2, 3) if f"10.96.0.{n} . tcp" in text}


@pytest.fixture
def factory() -> Factory:
    return Factory()


async def settle(proxy: ServiceProxy, seen: Callable[[], bool]) -> None:
    running = asyncio.create_task(proxy.run())
    try:
        for _ in range(200):
            if seen():
                return
            await asyncio.sleep(0.005)
        raise AssertionError("never settled")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_refused_service_is_left_out_and_the_others_are_served(factory):
    kernel = Kernel(lambda text: "10.96.0.1 . tcp" in text)
    proxy = ServiceProxy(factory, "n1", cluster_cidr="10.244.0.0/16", apply=kernel.apply)
    await settle(proxy, lambda: kernel.addresses == {"10.96.0.2", "10.96.0.3"})


async def test_it_gets_its_rules_when_it_has_changed(factory):
    kernel = Kernel(lambda text: "10.96.0.1 . tcp" in text)
    proxy = ServiceProxy(factory, "n1", cluster_cidr="10.244.0.0/16", apply=kernel.apply)
    await settle(proxy, lambda: len(kernel.addresses) == 2)
    kernel.refuses = lambda text: False
    services = factory.caches["services"]
    services.handlers["on_update"](None, services.objects["d/bad"])
    await settle(proxy, lambda: len(kernel.addresses) == 3)


async def test_a_table_that_somebody_changed_is_replaced(factory):
    answers = iter([True])
    kernel = Kernel(lambda text: next(answers, False))
    proxy = ServiceProxy(factory, "n1", cluster_cidr="10.244.0.0/16", apply=kernel.apply)
    await settle(proxy, lambda: len(kernel.addresses) == 3)
    assert kernel.refused == 1
