"""Endpoints, EndpointSlices and their mirror."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.endpoints.plan import pack, plan_endpoints
from controllers.endpointslice.plan import group_endpoints, plan_slices
from controllers.endpointslice.reconcile import Group, endpoint_key, reconcile
from controllers.endpointslicemirroring.plan import plan_mirror, should_mirror
from controllers.service_pods import find_port, may_back
from tests.unit.controllers.builders import clone, meta, node, pod


def service(*ports, **spec):
    return {
        "apiVersion": "v1", "kind": "Service", "metadata": meta("svc", labels={"team": "x"}),
        "spec": {"selector": {"app": "a"}, "clusterIP": "10.96.0.9", "ports": list(ports), **spec},
    }  # fmt: skip


HTTP = {"name": "http", "port": 80, "targetPort": "web"}
FIX = {"name": "fix", "port": 81, "targetPort": 8081}
NODES = {"n1": node("n1", labels={"topology.kubernetes.io/zone": "z1"})}.get


def backend(name, ip, port=8081, **more):
    made = pod(name, **more)
    made["status"]["podIPs"] = [{"ip": ip}]
    made["spec"]["containers"][0]["ports"] = [{"name": "web", "containerPort": port}]
    return made


# --- which pods, which ports --------------------------------------------------------------------------------------


def test_ports_by_name_number_and_default():
    made = backend("a", "10.0.0.1", 9000)
    assert find_port(made, HTTP) == 9000
    assert find_port(made, FIX) == 8081
    assert find_port(made, {"port": 7}) == 7
    assert find_port(made, {"port": 7, "targetPort": "none"}) is None
    assert find_port(made, {**HTTP, "protocol": "UDP"}) is None
    made["spec"]["initContainers"] = [{"name": "s", "restartPolicy": "Always",
                                       "ports": [{"name": "side", "containerPort": 5}]}]  # fmt: skip
    assert find_port(made, {"port": 7, "targetPort": "side"}) == 5


def test_who_may_back_a_service():
    assert may_back(backend("a", "10.0.0.1"), include_terminating=False)
    assert not may_back(backend("a", "10.0.0.1", phase="Succeeded"), include_terminating=True)
    assert not may_back(pod("no-ip"), include_terminating=True)
    ending = backend("a", "10.0.0.1", deleting=True)
    assert may_back(ending, include_terminating=True)
    assert not may_back(ending, include_terminating=False)


# --- Endpoints ----------------------------------------------------------------------------------------------------


def test_subsets_as_recorded():
    """Two pods, a fixed port and a named one with two numbers: three subsets."""
    pods = [backend("e1", "10.9.2.1", 8081), backend("e2", "10.9.2.2", 8082, ready=False)]
    made = plan_endpoints(service(HTTP, FIX), pods, None)

    def shape(subset):
        return ([a["ip"] for a in subset.get("addresses", [])], [a["ip"] for a in subset.get("notReadyAddresses", [])],
                [(p["name"], p["port"]) for p in subset["ports"]])  # fmt: skip

    assert sorted(map(shape, made["subsets"])) == [
        ([], ["10.9.2.2"], [("http", 8082)]), (["10.9.2.1"], [], [("http", 8081)]),
        (["10.9.2.1"], ["10.9.2.2"], [("fix", 8081)]),
    ]  # fmt: skip
    assert made["metadata"]["labels"] == {"team": "x", "endpoints.kubernetes.io/managed-by": "endpoint-controller"}
    assert plan_endpoints(service(HTTP, FIX), pods, made) is None


def test_ports_with_the_same_addresses_share_a_subset():
    made = plan_endpoints(service(HTTP, FIX), [backend("e1", "10.9.2.1"), backend("e2", "10.9.2.2")], None)
    (subset,) = made["subsets"]
    assert [port["name"] for port in subset["ports"]] == ["fix", "http"]
    assert [address["ip"] for address in subset["addresses"]] == ["10.9.2.1", "10.9.2.2"]


def test_no_pods_means_no_subsets_key():
    assert "subsets" not in plan_endpoints(service(HTTP), [], None)


def test_publish_not_ready_makes_all_ready():
    made = plan_endpoints(service(FIX, publishNotReadyAddresses=True),
                          [backend("e1", "10.9.2.1", ready=False, deleting=True)], None)  # fmt: skip
    assert "notReadyAddresses" not in made["subsets"][0]


def test_hostnames_belong_to_their_own_subdomain():
    made = backend("e1", "10.9.2.1")
    made["spec"] |= {"hostname": "h1", "subdomain": "svc"}
    assert plan_endpoints(service(FIX), [made], None)["subsets"][0]["addresses"][0]["hostname"] == "h1"
    made["spec"]["subdomain"] = "other"
    assert "hostname" not in plan_endpoints(service(FIX), [made], None)["subsets"][0]["addresses"][0]


def test_over_capacity_keeps_the_ready():
    pods = [backend(f"p{n}", f"10.1.{n // 250}.{n % 250 + 1}", ready=n >= 5) for n in range(1004)]
    made = plan_endpoints(service(FIX), pods, None)
    assert made["metadata"]["annotations"]["endpoints.kubernetes.io/over-capacity"] == "truncated"
    assert len(made["subsets"][0]["addresses"]) == 999
    assert len(made["subsets"][0]["notReadyAddresses"]) == 1


@given(st.lists(st.tuples(st.integers(1, 4), st.booleans(), st.integers(1, 3)), max_size=12))
def test_packing_loses_and_invents_nothing(triples):
    entries = [({"ip": f"10.0.0.{ip}"}, ready, {"port": port, "protocol": "TCP"}) for ip, ready, port in triples]
    wanted: dict[tuple[str, int], bool] = {}
    for address, ready, port in entries:
        key = (address["ip"], port["port"])
        wanted[key] = wanted.get(key, True) and ready
    found = {}
    for subset in pack(entries):
        for field, ready in (("addresses", True), ("notReadyAddresses", False)):
            for address in subset.get(field, ()):
                for port in subset["ports"]:
                    assert (address["ip"], port["port"]) not in found
                    found[address["ip"], port["port"]] = ready
    assert found == wanted


# --- EndpointSlices -----------------------------------------------------------------------------------------------


def endpoints_of(plan):
    return sorted(endpoint["addresses"][0] for item in [*plan.create, *plan.update] for endpoint in item["endpoints"])


def test_an_empty_service_has_one_empty_slice():
    plan, missing = plan_slices(service(HTTP), [], NODES, [])
    (made,) = plan.create
    assert (made["endpoints"], made["ports"], made["addressType"], missing) == ([], [], "IPv4", False)
    assert made["metadata"]["labels"] == {
        "team": "x", "kubernetes.io/service-name": "svc",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }  # fmt: skip
    made["metadata"]["name"] = "svc-1"
    assert not plan_slices(service(HTTP), [], NODES, [made])[0]
    plan, _ = plan_slices(service(HTTP), [backend("a", "10.0.0.1")], NODES, [made])
    assert [item["metadata"]["name"] for item in plan.delete] == ["svc-1"]


@pytest.mark.parametrize(
    ("more", "spec", "conditions"),
    [
        ({}, {}, (True, True, False)), ({"ready": False}, {}, (False, False, False)),
        ({"deleting": True}, {}, (False, True, True)),
        ({"ready": False}, {"publishNotReadyAddresses": True}, (True, False, False)),
    ],
)  # fmt: skip
def test_endpoint_conditions(more, spec, conditions):
    (group,), _ = group_endpoints(service(FIX, **spec), [backend("a", "10.0.0.1", **more)], NODES)
    (endpoint,) = group.endpoints
    assert tuple(endpoint["conditions"].values()) == conditions
    assert (endpoint["nodeName"], endpoint["zone"]) == ("n1", "z1")


def test_a_pod_of_an_unknown_node_waits():
    groups, missing = group_endpoints(service(FIX), [backend("a", "10.0.0.1", node="n9")], NODES)
    assert (groups, missing) == ([], True)


def test_a_named_port_with_two_numbers_makes_two_slices():
    pods = [backend("a", "10.0.0.1", 1), backend("b", "10.0.0.2", 2)]
    plan, _ = plan_slices(service(HTTP), pods, NODES, [])
    assert sorted(item["ports"][0]["port"] for item in plan.create) == [1, 2]


def test_dual_stack_makes_a_slice_a_family():
    made = backend("a", "10.0.0.1")
    made["status"]["podIPs"] = [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]
    plan, _ = plan_slices(service(FIX, ipFamilies=["IPv4", "IPv6"]), [made], NODES, [])
    assert {item["addressType"]: item["endpoints"][0]["addresses"] for item in plan.create} == {
        "IPv4": ["10.0.0.1"], "IPv6": ["fd00::1"],
    }  # fmt: skip


def test_headless_services_are_labelled_and_hints_follow_the_preference():
    plan, _ = plan_slices(service(FIX, clusterIP="None"), [], NODES, [])
    assert plan.create[0]["metadata"]["labels"]["service.kubernetes.io/headless"] == ""
    (group,), _ = group_endpoints(service(FIX, trafficDistribution="PreferSameNode"), [backend("a", "10.0.0.1")], NODES)
    assert group.endpoints[0]["hints"] == {"forZones": [{"name": "z1"}], "forNodes": [{"name": "n1"}]}


TEMPLATE = {"metadata": {"generateName": "s-", "namespace": "ns", "labels": {"l": "1"}}}


def endpoint(number, ready=True):
    return {"addresses": [f"10.0.0.{number}"], "conditions": {"ready": ready}}


@settings(max_examples=80)
@given(st.lists(st.sets(st.integers(1, 30)), min_size=1, max_size=5), st.integers(1, 6))
def test_reconciling_converges_and_then_rests(rounds, limit):
    """After each round the slices hold exactly the wanted endpoints within the limit; a second round writes nothing."""
    slices, serial = {}, 0
    for wanted in rounds:
        group = Group("IPv4", [{"name": "p", "port": 1}], [endpoint(number) for number in sorted(wanted)])
        for attempt in range(2):
            existing = [clone(item) for item in slices.values()]
            plan = reconcile([group], existing, TEMPLATE, placeholder_types=["IPv4"], max_endpoints=limit)
            assert attempt == 0 or not plan
            for item in plan.create:
                serial += 1
                slices[f"s{serial}"] = {**item, "metadata": {**item["metadata"], "name": f"s{serial}"}}
            for item in plan.update:
                slices[item["metadata"]["name"]] = item
            for item in plan.delete:
                del slices[item["metadata"]["name"]]
        held = [endpoint_key(item) for made in slices.values() for item in made["endpoints"]]
        assert sorted(held) == sorted(endpoint_key(item) for item in group.endpoints)
        assert all(len(made["endpoints"]) <= limit for made in slices.values())
        assert len(slices) >= 1


def test_one_change_is_one_write():
    group = Group("IPv4", [{"name": "p", "port": 1}], [endpoint(number) for number in range(250)])
    made = reconcile([group], [], TEMPLATE, placeholder_types=["IPv4"]).create
    assert [len(item["endpoints"]) for item in made] == [100, 100, 50]
    for number, item in enumerate(made):
        item["metadata"] = {**item["metadata"], "name": f"s{number}"}
    group.endpoints[120] = endpoint(120, ready=False)
    plan = reconcile([group], made, TEMPLATE, placeholder_types=["IPv4"])
    assert (len(plan.create), len(plan.delete)) == (0, 0)
    assert [item["metadata"]["name"] for item in plan.update] == ["s1"]
    group.endpoints[120] = endpoint(120)
    group.endpoints.append(endpoint(251))
    plan = reconcile([group], made, TEMPLATE, placeholder_types=["IPv4"])
    assert [item["metadata"]["name"] for item in plan.update] == ["s2"]


# --- mirroring ----------------------------------------------------------------------------------------------------


def by_hand(**metadata):
    subset = {
        "addresses": [{"ip": "10.20.0.1"}], "notReadyAddresses": [{"ip": "fd00::2"}], "ports": [{"port": 8080}],
    }  # fmt: skip
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": meta("man", **metadata), "subsets": [subset]}


def test_who_is_mirrored():
    bare = service()
    del bare["spec"]["selector"]
    assert should_mirror(by_hand(), bare)
    assert not should_mirror(by_hand(), service())
    assert not should_mirror(by_hand(), None)
    assert not should_mirror(None, bare)
    assert not should_mirror(by_hand(labels={"endpointslice.kubernetes.io/skip-mirror": "true"}), bare)
    assert not should_mirror(by_hand(annotations={"control-plane.alpha.kubernetes.io/leader": "x"}), bare)


def test_a_mirror():
    plan = plan_mirror(by_hand(labels={"a": "b"}), [])
    v4, v6 = sorted(plan.create, key=lambda item: item["addressType"])
    assert v4["endpoints"] == [{"addresses": ["10.20.0.1"], "conditions": {"ready": True}}]
    assert v6["endpoints"] == [{"addresses": ["fd00::2"], "conditions": {"ready": False}}]
    assert v4["ports"] == [{"name": "", "protocol": "TCP", "port": 8080}]
    assert v4["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"].startswith("endpointslicemirroring")
    assert v4["metadata"]["ownerReferences"][0]["kind"] == "Endpoints"
