"""What services hold and what an update means, without a store."""

import ipaddress
import random
from typing import Any

import pytest

from apiserver.registry.strategies.addresses import band_size, candidate_offsets, is_usable
from apiserver.registry.strategies.services import (
    drop_meaningless,
    held_addresses,
    held_ports,
    inherit_allocated,
    normalize_addresses,
)


def service(**spec: Any) -> dict[str, Any]:
    return {"kind": "Service", "metadata": {"name": "s", "namespace": "n", "uid": "u"}, "spec": spec}


def test_every_usable_address_once_and_the_band_last() -> None:
    network = ipaddress.ip_network("10.0.0.0/24")
    offsets = list(candidate_offsets(network, random.Random(1)))
    assert sorted(offsets) == list(range(1, 255))
    band = band_size(254)
    assert band == 16
    assert all(offset > band for offset in offsets[: 254 - band])


@pytest.mark.parametrize(("address", "usable"), [("10.0.0.0", False), ("10.0.0.255", False), ("10.0.0.1", True),
                                                 ("10.0.1.1", False), ("fd00::1", False)])  # fmt: skip
def test_the_edges_of_a_range_are_nobodys(address: str, usable: bool) -> None:
    assert is_usable(ipaddress.ip_address(address), ipaddress.ip_network("10.0.0.0/24")) is usable


def test_an_update_that_leaves_things_out_keeps_them() -> None:
    old = service(type="NodePort", clusterIP="10.0.0.9", clusterIPs=["10.0.0.9"],
                  ports=[{"port": 80, "protocol": "TCP", "nodePort": 30080}])  # fmt: skip
    new = service(type="NodePort", ports=[{"port": 80, "protocol": "TCP"}])
    normalize_addresses(new, old)
    inherit_allocated(new, old)
    assert held_addresses(new) == ["10.0.0.9"]
    assert held_ports(new) == {("TCP", 30080)}


def test_a_change_of_type_drops_what_it_makes_meaningless() -> None:
    old = service(type="NodePort", clusterIP="10.0.0.9", clusterIPs=["10.0.0.9"], externalTrafficPolicy="Cluster",
                  ports=[{"port": 80, "nodePort": 30080}])  # fmt: skip
    new = service(type="ExternalName", externalName="e", clusterIP="10.0.0.9", clusterIPs=["10.0.0.9"],
                  externalTrafficPolicy="Cluster", ports=[{"port": 80, "nodePort": 30080}])  # fmt: skip
    drop_meaningless(new, old)
    assert held_addresses(new) == []
    assert held_ports(new) == set()
    assert "externalTrafficPolicy" not in new["spec"]


def test_clusterip_and_clusterips_say_the_same() -> None:
    new = service(clusterIP="10.0.0.9")
    normalize_addresses(new, None)
    assert new["spec"]["clusterIPs"] == ["10.0.0.9"]
