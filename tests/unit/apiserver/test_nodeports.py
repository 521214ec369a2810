"""Node ports: one number a protocol, whoever asks first."""

import random
from typing import Any

import pytest

from apiserver.registry.strategies.nodeports import PortAllocator
from machinery.meta.errors import ApiError


class Services:
    """A reader that knows no service yet."""

    def on_change(self, group: str, resource: str, callback: Any) -> None:
        self.report = callback


def refuse(field: str, message: str) -> ApiError:
    return ApiError(422, "Invalid", f"{field}: {message}")


def service(uid: str, *ports: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"uid": uid}, "spec": {"type": "NodePort", "ports": list(ports), **spec}}


@pytest.fixture
def allocator() -> PortAllocator:
    made = PortAllocator(30000, 30003, random.Random(1))
    made.connect(Services())  # type: ignore[arg-type]
    return made


def test_every_number_once_a_protocol(allocator: PortAllocator) -> None:
    taken = set()
    for uid in "abcd":
        taken |= allocator.assign(service(uid, {"port": 80, "protocol": "TCP"}), set(), refuse)
    assert taken == {("TCP", number) for number in range(30000, 30004)}
    with pytest.raises(ApiError, match="range is full"):
        allocator.assign(service("e", {"port": 80, "protocol": "TCP"}), set(), refuse)
    assert allocator.assign(service("u", {"port": 80, "protocol": "UDP"}), set(), refuse)


def test_one_port_in_two_protocols_shares_its_number(allocator: PortAllocator) -> None:
    made = service("a", {"port": 53, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"})
    allocator.assign(made, set(), refuse)
    assert made["spec"]["ports"][0]["nodePort"] == made["spec"]["ports"][1]["nodePort"]


@pytest.mark.parametrize(("number", "why"), [(29999, "not in the valid range"), (30001, "already allocated")])
def test_what_is_asked_for_and_cannot_be(allocator: PortAllocator, number: int, why: str) -> None:
    allocator.assign(service("a", {"port": 80, "nodePort": 30001}), set(), refuse)
    with pytest.raises(ApiError, match=why):
        allocator.assign(service("b", {"port": 80, "nodePort": number}), set(), refuse)


def test_what_a_failed_write_took_is_free_again(allocator: PortAllocator) -> None:
    taken = allocator.assign(service("a", {"port": 80, "nodePort": 30001}), set(), refuse)
    allocator.release(taken)
    assert allocator.assign(service("b", {"port": 80, "nodePort": 30001}), set(), refuse)


def test_a_refusal_takes_nothing(allocator: PortAllocator) -> None:
    allocator.assign(service("a", {"port": 81, "nodePort": 30002}), set(), refuse)
    with pytest.raises(ApiError):
        allocator.assign(service("b", {"port": 80, "nodePort": 30001}, {"port": 81, "nodePort": 30002}), set(), refuse)
    assert allocator.assign(service("c", {"port": 80, "nodePort": 30001}), set(), refuse)


def test_load_balancers_with_local_traffic_get_a_port_for_health(allocator: PortAllocator) -> None:
    made = service("a", {"port": 80}, type="LoadBalancer", externalTrafficPolicy="Local")
    allocator.assign(made, set(), refuse)
    assert made["spec"]["healthCheckNodePort"] != made["spec"]["ports"][0]["nodePort"]
